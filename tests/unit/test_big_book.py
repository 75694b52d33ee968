"""The whole market in one book: how long a worker takes to read it, and what it weighs in memory."""

import subprocess
import sys
from pathlib import Path

import orjson
import pytest

from pricing.book_records import publication_bytes, publication_of
from pricing.sheets import parse_sheet

ROOT = Path(__file__).parents[2]
MODELS = 10_000
SECONDS_MAX = 2
MEGABYTES_MAX = 100

# In a process of its own, so that what it weighs is the book alone. Processor time: others share the machine.
READ_A_BOOK = """
import sys, time
from pathlib import Path
from pricing.book import Book, Policy
from pricing.book_records import parse_publication
from pricing.events import ModelUsage
from pricing.money import exact
from pricing.rating import rates_for

def peak_kib():
    # Not ru_maxrss, which a process has from the one that started it.
    return int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0])

value = Path(sys.argv[1]).read_bytes()
before = peak_kib()
start = time.process_time()
sheet = parse_publication(b"sheet/market/1", value).document
book = Book(Policy({"*": "market"}), (sheet,))
with exact():
    rates_for(book.segment_at(sheet.effective_from).sheets["market"], ModelUsage(
        organization="o", project="p", model="some-model-9999-20250514", provider="vendor-39"))
seconds = time.process_time() - start
print(seconds, (peak_kib() - before) * 1024 / 1e6)
"""


def market(models: int) -> bytes:
    """As much as the price lists of the market have of each model, and about as varied: names, caches, tiers, units."""

    def prices(number: int, percent: int) -> dict[str, str]:
        kinds = {"input": 100, "output": 400, "cache_read": 10, "cache_creation": 125}
        return {
            kind: f"{(number % 997 + 1) * share * percent / 10**5:.7f}".rstrip("0").rstrip(".") or "0"
            for kind, share in kinds.items()
        }

    found = []
    for number in range(models):
        vendor = f"vendor-{number % 60}"
        model = {"key": f"some-model-{number}", "provider": vendor, "category": "direct", "currency": "USD"}
        model |= {"aliases": [f"{vendor}/some-model-{number}"], "prices": prices(number, 100)}
        if number % 4 == 0:
            model["units"] = {"web_search": "0.01", "image": "0.04"}
        if number % 5 == 0:
            model["cases"] = [
                {"when": {"service_tier": "batch"}, "prices": prices(number, 50)},
                {"when": {"input_over": 200_000}, "prices": prices(number, 200)},
            ]
        found.append(model)
    sheet = {"id": "market", "version": "1", "effective_from": "2025-01-01T00:00:00Z", "dated_snapshots": True}
    return orjson.dumps({**sheet, "models": found})


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux says what a process weighed at most")
def test_a_book_of_ten_thousand_models_is_read_in_two_seconds_and_a_hundred_megabytes(tmp_path: Path) -> None:
    """From the record's bytes to the rates of its last model, the peak while reading included."""
    record = tmp_path / "record.json"
    record.write_bytes(
        publication_bytes(publication_of(parse_sheet(market(MODELS)), published_at=0, retroactive=False))
    )
    done = subprocess.run(
        [sys.executable, "-c", READ_A_BOOK, str(record)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    seconds, megabytes = map(float, done.stdout.split())
    print(f"{MODELS} models, {record.stat().st_size} bytes: {seconds:.2f} s, {megabytes:.0f} MB")
    assert seconds < SECONDS_MAX
    assert megabytes < MEGABYTES_MAX


def test_a_market_sheet_is_small() -> None:
    """4,500 models, as one of the public lists has, are written in less than 2 MB."""
    assert len(publication_bytes(publication_of(parse_sheet(market(4500)), published_at=0, retroactive=False))) < 2e6
