"""House rules that ruff and mypy cannot see: who imports whom, what is made where, how long things get.

Every exception is written down here with its reason; a new one is a decision, not an accident.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import pricing
import streams
from pricing.errors import Rejected, Unpriced
from streams.metrics import Metrics
from streams.topics import Topics
from tests.mutants.__main__ import lost_among
from tests.mutants.breakages import ALL

ROOT = Path(__file__).parents[2]
MODULE_LINES_MAX = 300
FUNCTION_LINES_MAX = 60
PARAMETERS_MAX = 5

IMPURE = {"asyncio", "io", "logging", "os", "pathlib", "random", "secrets", "socket", "subprocess", "sys", "tempfile"}
IMPURE |= {"threading", "time", "uuid"}
PRICING_MAY_USE = {"msgspec", "pydantic"}

# float(, round( or .quantize( outside of money.
FLOATS = {
    "streams/bench_measure.py": "seconds and latencies of a measurement",
    "streams/benchmark.py": "figures of a measurement",
    "streams/children.py": "metrics of a child process, as Prometheus has them",
    "streams/demo_account.py": "latencies of the demo",
    "streams/demo_view.py": "what a terminal shows",
    "streams/demo_watch.py": "latencies and rates of the demo",
    "streams/metrics.py": "Prometheus counts in floats; priced_amount is called approximate for that",
    "streams/topics.py": "min.cleanable.dirty.ratio is a ratio",
}
ENVIRONMENT = {
    "streams/settings.py": "the STREAM_PRICING_* variables",
    "streams/kafka_jars.py": "XDG_CACHE_HOME, where the jars are kept",
}
# Clocks: the wall clock that is written on records comes from running.py and the command line alone.
CLOCKS = {
    "streams/running.py": "the worker's wall clock, handed in as a function",
    "streams/cli/publishing.py": "when something is published",
    "streams/demo.py": "time of the usage that it makes up, and deadlines",
    "streams/demo_view.py": "seconds since the start, shown",
    "streams/demo_watch.py": "rates per second",
    "streams/benchmark.py": "measuring",
    "streams/books.py": "liveness",
    "streams/clients.py": "when the last heartbeat that succeeded was sent",
    "streams/bench_measure.py": "measuring, and the time of the usage that it makes up",
    "streams/bench_copy.py": "commit interval",
    "streams/children.py": "deadlines of child processes",
    "streams/embedded_kafka.py": "deadlines of a child process",
    "streams/reading.py": "a deadline",
    "streams/task.py": "commit interval, backoff, durations for metrics",
    "streams/limits.py": "a deadline, and the time between tries",
    "streams/worker.py": "liveness",
}
CLOCK_CALLS = {"time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns", "process_time"}
CLOCK_CALLS |= {"now", "utcnow", "today"}
TOPIC_NAME = re.compile(
    r"(?<!ai\.)\b(usage\.(raw|rekeyed|priced|totals|parked|rejected)|pricing\.(books|accounts)|stream-pricing\.state)"
    r"\.v1"
)


@cache
def sources() -> dict[str, ast.Module]:
    """Every module of the product by its path."""
    files = sorted([*(ROOT / "pricing").rglob("*.py"), *(ROOT / "streams").rglob("*.py")])
    return {path.relative_to(ROOT).as_posix(): ast.parse(path.read_text()) for path in files}


def of(package: str) -> dict[str, ast.Module]:
    """The modules of a package."""
    return {path: tree for path, tree in sources().items() if path.startswith(f"{package}/")}


def imported(tree: ast.Module) -> Iterator[str]:
    """Full names of what is imported, wherever in the module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def calls(tree: ast.Module) -> Iterator[tuple[str, ast.Call]]:
    """Every call with the dotted text of what is called."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


def texts(tree: ast.Module) -> Iterator[str]:
    """Every string but docstrings."""
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    docs = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, documented) and node.body and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docs:
            yield node.value


def part_of(path: str) -> str:
    """`cli` of streams/cli/prices.py, `step` of streams/step.py."""
    return path.split("/")[1].removesuffix(".py")


# --- who imports whom


def test_pricing_knows_nothing_of_the_shell() -> None:
    """`streams` imports `pricing`, never the other way round."""
    assert [
        (path, name) for path, tree in of("pricing").items() for name in imported(tree) if name.startswith("streams")
    ] == []


def test_pricing_is_pure() -> None:
    """No clock, environment, randomness, logging or I/O; of foreign packages only those that read and check."""
    found = []
    for path, tree in of("pricing").items():
        for name in imported(tree):
            top = name.split(".")[0]
            if top in IMPURE or (top not in sys.stdlib_module_names and top not in {"pricing", *PRICING_MAY_USE}):
                found.append((path, name))
        found += [
            (path, name)
            for name, _ in calls(tree)
            if name.split(".")[-1] in {"now", "utcnow", "today", "open", "print"}
        ]
    assert found == []


@pytest.mark.parametrize("package", [pricing, streams], ids=lambda package: package.__name__)
def test_a_module_imports_only_what_is_read_before_it(package: object) -> None:
    """The reading order is in the package's docstring, and whole."""
    name = package.__name__  # type: ignore[attr-defined]
    order = re.findall(r"\w+", re.sub(r"; then[^:]*:", ",", package.__doc__.split("before it:")[1]))  # type: ignore[union-attr]
    assert len(order) == len(set(order))
    entry = {"__init__", "__main__"}
    assert {part_of(path) for path in of(name)} - entry == set(order)
    found = []
    for path, tree in of(name).items():
        own = part_of(path)
        if own in entry:
            continue
        for other in imported(tree):
            parts = other.split(".")
            if (
                parts[0] == name
                and parts[1] != own
                and (parts[1] not in order or order.index(parts[1]) > order.index(own))
            ):
                found.append(f"{path} imports {other}")
    assert found == []


def test_one_module_has_the_transactional_client() -> None:
    """Its rules are hard enough to keep in one place."""
    found = {
        path
        for path, tree in sources().items()
        for name, call in calls(tree)
        if name.endswith("Producer") and "transactional_id" in {keyword.arg for keyword in call.keywords}
    }
    assert found == {"streams/session.py"}


# --- what is made where


def test_decimals_are_made_in_money_alone() -> None:
    """Anywhere else one could be made of a float, or rounded by a context."""
    found = {
        path for path, tree in sources().items() for name, _ in calls(tree) if name in {"Decimal", "decimal.Decimal"}
    }
    assert found == {"pricing/money.py"}


def test_nothing_rounds_and_no_float_comes_near_an_amount() -> None:
    """Not in `pricing`, and in `streams` only where no money is."""
    found = {
        path
        for path, tree in sources().items()
        for name, _ in calls(tree)
        if name in {"float", "round"} or name.endswith((".quantize", ".to_integral_value", ".from_float"))
    }
    assert found - FLOATS.keys() == set()
    literals = [
        (path, node.value)
        for path, tree in of("pricing").items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, float)
    ]
    assert literals == []


def test_no_amount_is_divided_in_the_shell() -> None:
    """The money path of `streams` writes amounts and adds none up but in `exact()`: it has no `/`."""
    found = [
        (path, node.lineno)
        for path in ("streams/codec.py", "streams/step.py", "streams/batch.py", "streams/letters.py")
        for node in ast.walk(sources()[path])
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div)
    ]
    assert found == []


def test_the_environment_is_read_in_settings_alone() -> None:
    """And nobody else needs to know where a setting came from."""
    found = {
        path
        for path, tree in sources().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and ast.unparse(node) in {"os.environ", "os.getenv", "os.environb"}
    }
    assert found == ENVIRONMENT.keys()


def test_clocks_are_read_where_it_is_written_down() -> None:
    """The step, the state and the codec have none: the worker's clock decides nothing."""
    found = set()
    for path, tree in sources().items():
        for name, _ in calls(tree):
            *owner, last = name.split(".")
            if (
                last in CLOCK_CALLS
                and owner
                and owner[-1] in {"time", "loop", "_loop", "datetime", "date"} | {"get_running_loop()"}
            ):
                found.add(path)
        if any(name.startswith("time.") for name in imported(tree)):
            found.add(path)
    assert found - CLOCKS.keys() == set()


def test_topics_are_named_in_one_place() -> None:
    """With the operator's prefix in front."""
    found = {path for path, tree in sources().items() for text in texts(tree) if TOPIC_NAME.search(text)}
    assert found == {"streams/topics.py"}


def test_every_exception_is_needed() -> None:
    """A table of exceptions that names a file that is gone hides the next one of that name."""
    assert {path for table in (FLOATS, ENVIRONMENT, CLOCKS) for path in table} - sources().keys() == set()


# --- how long things get


def test_modules_are_short() -> None:
    """What does not fit on a few screens has two subjects."""
    sizes = {path: len((ROOT / path).read_text().splitlines()) for path in sources()}
    assert {path: size for path, size in sizes.items() if size > MODULE_LINES_MAX} == {}


def functions() -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    """Every function with its place."""
    for path, tree in sources().items():
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield f"{path}: {node.name}", node


def test_functions_are_short() -> None:
    """From the `def` to the last line."""
    sizes = {place: (node.end_lineno or 0) - node.lineno + 1 for place, node in functions()}
    assert {place: size for place, size in sizes.items() if size > FUNCTION_LINES_MAX} == {}


def test_functions_take_few_parameters() -> None:
    """Five, besides `self` and keyword-only options; a record's constructor has one for each field, a click command one
    for each option."""
    found = {}
    for place, node in functions():
        is_command = any(re.search(r"\.command\(|@?click\.", ast.unparse(each)) for each in node.decorator_list)
        names = [arg.arg for arg in node.args.posonlyargs + node.args.args if arg.arg not in {"self", "cls"}]
        if len(names) > PARAMETERS_MAX and not is_command and node.name != "__init__":
            found[place] = names
    assert found == {}


def test_everything_public_says_what_it_is() -> None:
    """Every module; and in `pricing`, which others read first, every class and function without an underscore."""
    silent = [path for path, tree in sources().items() if not ast.get_docstring(tree)]
    for path, tree in of("pricing").items():
        silent += [
            f"{path}: {node.name}"
            for node in tree.body
            if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name[0] != "_" and not ast.get_docstring(node)
        ]
    assert silent == []


# --- names that exist


def test_every_metric_that_is_named_somewhere_exists() -> None:
    """In the README, in rules and dashboards, and in the program itself."""
    metrics = Metrics("1", Topics()).exposition().decode()
    known = set(re.findall(r"^# TYPE (\w+)", metrics, re.MULTILINE))
    known |= {f"{name}{ending}" for name in known for ending in ("_total", "_bucket", "_count", "_sum")}
    files = [ROOT / "README.md", *(path for path in (ROOT / "deploy").rglob("*") if path.is_file())]
    found = {
        name for path in files for name in re.findall(r"\bstream_pricing_[a-z_]*[a-z]", path.read_text(errors="ignore"))
    }
    for tree in sources().values():
        for text in texts(tree):
            found |= set(re.findall(r"\bstream_pricing_[a-z_]*[a-z]\b", text))
    assert found - known == set()


def test_reasons_read_as_the_contract_has_them() -> None:
    """In the order of precedence."""
    assert [*Unpriced] == [
        "no_sheet_at_time",
        "no_price_for_model",
        "no_price_for_operation",
        "no_price_for_meter",
        "no_multiplier_for_priority",
        "no_rate_at_time",
        "unknown_tier",
        "account_required",
    ]
    assert {*Rejected} == {
        "not_json",
        "too_large",
        "not_a_cloudevent",
        "unknown_type",
        "invalid_field",
        "token_counts_do_not_reconcile",
        "from_the_future",
        "too_late",
        "id_reused_with_other_content",
        "internal_error",
    }


def test_every_deliberate_breakage_has_its_text() -> None:
    """`python -m tests.mutants` takes ten minutes and is not part of `make test`: the code moves on without it."""
    assert lost_among(ALL) == []
