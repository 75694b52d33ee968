"""The embedded Kafka's keeper: a small process between us and the broker that outlives us by a moment.

It runs as a script, on the standard library alone. Its standard input is a pipe from its parent: a line is a
command, the end of the pipe means that the parent is gone, whatever killed it. Then the broker is terminated
and its temporary folder removed. (PR_SET_PDEATHSIG would be tied to the thread that forked, and to Linux.)

    start ["java", …]   runs the broker      answers `pid N`, and `exit CODE` when it ends
    stop                terminates it        answers `exit CODE`

Arguments: the folder of the broker, `remove` or `keep` (the folder, at the end), the parent's process id, and the
descriptor of the folder's lock file, which the broker gets too: killed, a keeper may leave one that still writes there.
"""

import json
import os
import select
import shutil
import signal
import subprocess
import sys
from pathlib import Path

_POLL_S = 0.2
_STOP_S = 10


class _Keeper:
    def __init__(self, folder: Path, lock: int) -> None:
        self.folder = folder
        self.lock = lock
        self.broker: subprocess.Popen[bytes] | None = None

    def start(self, argv: list[str]) -> None:
        with (self.folder / "broker.log").open("ab") as log:
            self.broker = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder, pass_fds=[self.lock]
            )
        _say(f"pid {self.broker.pid}")

    def stop(self) -> None:
        if self.broker is None:
            return
        self.broker.terminate()
        # A broker that a test froze with SIGSTOP takes no SIGTERM.
        self.broker.send_signal(signal.SIGCONT)
        try:
            self.broker.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self.broker.kill()
            self.broker.wait()
        self.reap()

    def reap(self) -> None:
        if self.broker is not None and self.broker.poll() is not None:
            _say(f"exit {self.broker.returncode}")
            self.broker = None


def _say(line: str) -> None:
    try:
        os.write(1, f"{line}\n".encode())
    except OSError:
        pass  # the parent is gone, which the main loop is about to see


def _commands(parent: int, keeper: _Keeper) -> None:
    """Obey until the pipe ends, or the parent changes: a fork of the parent may hold the pipe open."""
    pending = b""
    while os.getppid() == parent:
        keeper.reap()
        if not select.select([0], [], [], _POLL_S)[0]:
            continue
        chunk = os.read(0, 65536)
        if not chunk:
            return
        *lines, pending = (pending + chunk).split(b"\n")
        for line in lines:
            word, _, rest = line.decode().partition(" ")
            if word == "start":
                keeper.start(json.loads(rest))
            elif word == "stop":
                keeper.stop()


def main() -> None:
    """Keep a broker until the parent is gone."""
    folder, at_the_end, parent = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    # Handlers, not SIG_IGN: the broker would inherit that, and a JVM then takes no SIGTERM.
    signal.signal(signal.SIGINT, lambda *_: None)
    signal.signal(signal.SIGHUP, lambda *_: None)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    keeper = _Keeper(folder, int(sys.argv[4]))
    try:
        _commands(parent, keeper)
    finally:
        signal.signal(signal.SIGTERM, lambda *_: None)
        keeper.stop()
        if at_the_end == "remove":
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
