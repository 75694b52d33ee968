"""`python -m tests.mutants [NAME …]`: apply each breakage to a copy of the tree and run the fast tests on it.

A table says which test caught which breakage; exit code 1 if one survives. A breakage whose old text is not in its
file exactly once is an error: the code has moved on, and so must the breakage.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue

from tests.mutants.breakages import ALL, LIKELY, Mutant

ROOT = Path(__file__).parents[2]
COPIED = ("pricing", "streams", "tests", "deploy", "pyproject.toml")
PROCESSES = 2
SEEDS = 60
TIMEOUT_S = 300
# The fastest first: -x stops at the first failure.
TESTS = [
    *(
        f"tests/unit/test_{name}.py"
        for name in ("rules", "money", "accounts", "times", "exchange", "partitions", "seen", "records", "transactions")
    ),
    *(
        f"tests/unit/test_{name}.py"
        for name in ("events", "responses", "pricing", "costs", "totals", "codec", "state", "step")
    ),
    *(f"tests/simulation/test_{name}.py" for name in ("rules", "client_trouble", "crash_table", "cures", "memory")),
    "tests/properties",
    "tests/simulation/test_crashes.py",
]


def main(names: list[str]) -> int:
    if unknown := [name for name in names if not any(name in mutant.name for mutant in ALL)]:
        print("no breakage is called so:", *unknown, sep="\n  ")
        return 2
    chosen = [mutant for mutant in ALL if not names or any(name in mutant.name for name in names)]
    if lost := lost_among(chosen):
        print("the text of these breakages is not there exactly once:", *lost, sep="\n  ")
        return 2
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        trees: SimpleQueue[Path] = SimpleQueue()
        for number in range(PROCESSES):
            trees.put(_copy(Path(folder) / str(number)))
        whole = trees.get()
        if caught := _first_failure(whole):
            print(f"the tests fail without any breakage: {caught}")
            return 2
        trees.put(whole)
        survivors = _try_all(chosen, trees)
    print(f"{len(chosen)} breakages, {len(chosen) - len(survivors)} caught, in {time.monotonic() - started:.0f} s")
    for mutant in survivors:
        print(f"SURVIVED {mutant.name} ({mutant.file}): {mutant.wrong}")
    return 1 if survivors else 0


def _try_all(mutants: list[Mutant], trees: SimpleQueue[Path]) -> list[Mutant]:
    def caught_by(mutant: Mutant) -> str:
        tree = trees.get()
        try:
            return _caught_by(mutant, tree)
        finally:
            trees.put(tree)

    survivors = []
    with ThreadPoolExecutor(PROCESSES) as pool:
        for mutant, test in zip(mutants, pool.map(caught_by, mutants), strict=True):
            print(f"{mutant.name:46} {test or 'SURVIVED'}", flush=True)
            if not test:
                survivors.append(mutant)
    return survivors


def lost_among(mutants: Sequence[Mutant]) -> list[str]:
    """The breakages whose text is not in their file exactly once."""
    counts = {mutant: (ROOT / mutant.file).read_text().count(mutant.old) for mutant in mutants}
    return [f"{mutant.name}: {count} times in {mutant.file}" for mutant, count in counts.items() if count != 1]


def _copy(tree: Path) -> Path:
    tree.mkdir()
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, tree / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, tree / name)
    return tree


def _caught_by(mutant: Mutant, tree: Path) -> str | None:
    """The first test that fails with the breakage in place, or None."""
    path = tree / mutant.file
    original = path.read_text()
    assert original.count(mutant.old) == 1, f"{mutant.name}: the copy has another text"
    path.write_text(original.replace(mutant.old, mutant.new))
    try:
        return _first_failure(tree, *(test for test, mutants in LIKELY.items() if mutant in mutants))
    finally:
        path.write_text(original)


def _first_failure(tree: Path, *first: str) -> str | None:
    tests = [test for test in dict.fromkeys([*first, *TESTS]) if (tree / test).exists()]
    command = [sys.executable, "-m", "pytest", "-x", "-q", "--no-header", "-p", "no:cacheprovider"]
    command += ["--seeds", str(SEEDS), *tests]
    # Bytecode is told apart by the second and the size of its source: a breakage may change neither.
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": str(tree)}
    try:
        done = subprocess.run(
            command, cwd=tree, env=environment, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired:
        return f"(nothing ended within {TIMEOUT_S} s)"
    if done.returncode == 0:
        return None
    failed = re.search(r"^(?:FAILED|ERROR) (\S+)", done.stdout, re.MULTILINE)
    if failed is None:
        raise RuntimeError(f"pytest ended with {done.returncode}:\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")
    return failed[1]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
