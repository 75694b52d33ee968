"""Output that does not fit on the disk: one line on stderr, and exit code 1."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

AITRONOS = str(Path(__file__).parents[1] / "data" / "aitronos.json")
FULL = Path("/dev/full")


@pytest.mark.skipif(not FULL.exists(), reason="only Linux has a file that is always full")
@pytest.mark.parametrize("buffered", [True, False])
@pytest.mark.parametrize(
    "args",
    [("schema",), ("sheets", "show", "--sheet", AITRONOS), ("sheets", "show", "--sheet", AITRONOS, "--json"), ("-h",)],
    ids=" ".join,
)
def test_a_full_disk_is_one_line(args: tuple[str, ...], buffered: bool) -> None:
    """Whether Python notices while it writes or only at its end."""
    env = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    env |= {} if buffered else {"PYTHONUNBUFFERED": "1"}
    with FULL.open("w") as full:
        command = [sys.executable, "-m", "streams", *args]
        ran = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, env=env, check=False)
    assert (ran.returncode, ran.stderr) == (1, "Error: the output cannot be written: No space left on device\n")
