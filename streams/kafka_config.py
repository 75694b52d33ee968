"""The embedded Kafka's settings: one node that keeps nothing twice, and logs warnings only."""

from collections.abc import Mapping
from pathlib import Path

HOST = "127.0.0.1"
CONTROLLER = "CONTROLLER"
PLAINTEXT = "PLAINTEXT"

LOG4J = """\
status = error
appender.console.type = Console
appender.console.name = console
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d %p %m (%c{1})%n%throwable{8}
rootLogger.level = warn
rootLogger.appenderRef.console.ref = console
"""

_SETTINGS = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
    "inter.broker.listener.name": "PLAINTEXT",
    "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,"
    "SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT,SASL_SSL:SASL_SSL",
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "4",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "4",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "group.initial.rebalance.delay.ms": "0",
    "auto.create.topics.enable": "false",
}


def server_properties(folder: Path, ports: Mapping[str, int], config: Mapping[str, str]) -> str:
    """The text of `server.properties`, `ports` by listener; `config` beats every setting of ours."""
    every = {name: f"{name}://{HOST}:{port}" for name, port in ports.items()}
    settings = {
        **_SETTINGS,
        "listeners": ",".join(every.values()),
        "advertised.listeners": ",".join(every[name] for name in every if name != CONTROLLER),
        # Voters, not bootstrap servers: nothing on disk then names a port, and a data folder can be moved.
        "controller.quorum.voters": f"1@{HOST}:{ports[CONTROLLER]}",
        "log.dirs": str(folder / "data"),
        **config,
    }
    return "".join(f"{name}={value}\n" for name, value in settings.items())
