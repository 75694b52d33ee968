"""Records of the book: which one counts, and which one may be published."""

from decimal import Decimal

import pytest

from pricing.book_records import (
    Publication,
    check_start,
    first_of_each,
    is_published,
    parse_publication,
    publication_bytes,
    publication_of,
)
from pricing.errors import InvalidDocument
from pricing.exchange import FxRate
from pricing.sheets import Model, Sheet, Source, sheet_bytes
from pricing.times import parse_time

NOVEMBER = parse_time("2026-11-01T00:00:00Z")
DECEMBER = parse_time("2026-12-01T00:00:00Z")
RATE = FxRate(pair="CHF/USD", rate=Decimal("1.1"), from_ns=NOVEMBER)


def sheet(version: str = "1", price: str = "13.2") -> Sheet:
    model = Model(key="pro", category="synapse", currency="CHF", prices={"input": Decimal(price)})
    return Sheet(id="aitronos", version=version, effective_from=NOVEMBER, models=(model,))


def publication(document: Sheet | FxRate, at: int = NOVEMBER, retroactive: bool = False) -> Publication:
    return publication_of(document, published_at=at, retroactive=retroactive)


@pytest.mark.parametrize(
    ("document", "key"), [(sheet(), b"sheet/aitronos/1"), (RATE, b"fx/CHF/USD/2026-11-01T00:00:00Z")]
)
def test_a_record_of_the_book_is_read_back(document: Sheet | FxRate, key: bytes) -> None:
    """Key and value say which sheet or rate it is."""
    made = publication(document)
    assert made.key.encode() == key
    assert parse_publication(key, publication_bytes(made)) == made
    assert parse_publication(key, publication_bytes(made)).document == document


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (b"sheet/aitronos/2", publication_bytes(publication(sheet()))),
        (None, publication_bytes(publication(sheet()))),
        (b"\xff", publication_bytes(publication(sheet()))),
        (b"sheet/aitronos/1", None),
        (b"sheet/aitronos/1", b""),
        (b"sheet/aitronos/1", sheet_bytes(sheet())),
        (
            b"sheet/aitronos/1",
            publication_bytes(publication(sheet())).replace(b'"kind":"sheet"', b'"kind":"fx"'),
        ),
        (b"sheet/aitronos/1", publication_bytes(publication(sheet())).replace(b'"13.2"', b"13.2")),
    ],
)
def test_a_record_that_is_not_what_its_key_says_is_invalid(key: bytes | None, value: bytes | None) -> None:
    """It is ignored, whichever of the two is wrong."""
    with pytest.raises(InvalidDocument):
        parse_publication(key, value)


def test_the_first_record_of_a_version_counts() -> None:
    """Later ones of the same name do not, whatever they say."""
    first, second = publication(sheet()), publication(sheet(price="1"))
    assert first_of_each([first, publication(RATE), second]) == [first, publication(RATE)]


def test_a_published_version_is_never_changed() -> None:
    """The same prices again are fine, wherever they came from; others are refused, and both are named."""
    book = [publication(sheet())]
    again = sheet().model_copy(update={"source": Source(format="aitronos", sha256="0" * 64)})
    assert is_published(book, publication(again, DECEMBER))
    assert not is_published(book, publication(sheet("2")))
    with pytest.raises(
        InvalidDocument,
        match=r"published at 2026-11-01T00:00:00Z .*: models.pro.prices.input is 13.2 there and 13.3 here$",
    ):
        is_published(book, publication(sheet(price="13.3")))


@pytest.mark.parametrize(
    ("old_from", "new_from", "now", "retroactive", "refused"),
    [
        (None, NOVEMBER, DECEMBER, False, False),  # nothing was in force: nothing can have been priced
        (NOVEMBER, DECEMBER, NOVEMBER, False, False),  # it starts later
        (NOVEMBER, DECEMBER, DECEMBER, False, True),
        (NOVEMBER, NOVEMBER, DECEMBER, False, True),  # of equals the one published later counts
        (DECEMBER, NOVEMBER, DECEMBER, False, False),  # before the older one nothing was in force
        (NOVEMBER, NOVEMBER + 1, DECEMBER, True, False),
    ],
)
def test_a_start_in_the_past_has_to_be_meant(
    old_from: int | None, new_from: int, now: int, retroactive: bool, refused: bool
) -> None:
    """Only where a version is in force at that time; other sheets and pairs do not matter."""
    old = [] if old_from is None else [publication(RATE.model_copy(update={"from_ns": old_from}))]
    other = publication(RATE.model_copy(update={"pair": "CHF/EUR", "from_ns": 0}))
    new = RATE.model_copy(update={"from_ns": new_from, "rate": Decimal(2)})
    if refused:
        with pytest.raises(InvalidDocument, match="--retroactive publishes it"):
            check_start([*old, other], publication(new, now, retroactive), now)
    else:
        check_start([*old, other], publication(new, now, retroactive), now)
