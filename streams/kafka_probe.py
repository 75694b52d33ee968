"""What the embedded Kafka's launcher asks of ports, sockets and logs."""

import re
import socket
import struct

from streams.kafka_config import HOST
from streams.kafka_jars import KafkaUnavailable


class PortTaken(KafkaUnavailable):
    """Another program was faster; a free port may be chosen anew."""


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True


def check_free(name: str, port: int) -> None:
    if not is_free(port):
        raise PortTaken(f"port {port} of {HOST}, for the listener {name}, is taken by another program: choose another")


def answers_metadata(port: int) -> bool:
    """Whether a Metadata v1 request (for no topics) is answered with a broker; the port opens too early."""
    body = struct.pack(">hhih5si", 3, 1, 1, 5, b"ready", 0)
    try:
        with socket.create_connection((HOST, port), timeout=2) as connection:
            connection.sendall(struct.pack(">i", len(body)) + body)
            answer = connection.recv(12, socket.MSG_WAITALL)
    except OSError:
        return False
    return len(answer) == 12 and struct.unpack(">iii", answer)[2] > 0


def last_problem(log: str) -> str:
    """One line out of a log: the last that names an error, else the last."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    errors = [at for at, line in enumerate(lines) if re.search(r"\b(ERROR|FATAL)\b|[Ee]xception|Error:", line)]
    return (lines[errors[-1]] if errors else (lines or ["it said nothing"])[-1])[:400]
