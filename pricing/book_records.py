"""Book records: what a record of `pricing.books.v1` says, and whether one more may be published.

The command line writes through these functions and the worker reads through them, so both have the same book.
A record's key is `kind/id/version`; an id may contain slashes (a pair of currencies does), a kind and a
version may not.
"""

from collections.abc import Iterable
from typing import Literal, Self

from pydantic import model_validator

from pricing.documents import Document, Instant, document_bytes, parse_document
from pricing.errors import InvalidDocument
from pricing.exchange import FxRate
from pricing.money import plain
from pricing.sheet_diff import diff_sheets
from pricing.sheets import Sheet
from pricing.times import format_time


class Publication(Document):
    """One record of the book: a sheet or a rate, when it was published, and whether after its start."""

    kind: Literal["sheet", "fx"]
    published_at: Instant
    retroactive: bool = False
    sheet: Sheet | None = None
    fx: FxRate | None = None

    @model_validator(mode="after")
    def _has_what_its_kind_says(self) -> Self:
        given = [kind for kind in ("sheet", "fx") if getattr(self, kind) is not None]
        if given != [self.kind]:
            raise ValueError(f"a record of kind {self.kind} has {' and '.join(given) or 'nothing'}")
        return self

    @property
    def document(self) -> Sheet | FxRate:
        """The sheet or rate."""
        found = self.sheet or self.fx
        assert found is not None
        return found

    @property
    def id(self) -> str:
        """The sheet's id, or the pair."""
        return self.sheet.id if self.sheet else self._fx.pair

    @property
    def version(self) -> str:
        """The sheet's version; a rate's is the time from which it counts."""
        return self.sheet.version if self.sheet else format_time(self._fx.from_ns)

    @property
    def from_ns(self) -> int:
        """The first instant of usage that it prices."""
        return self.sheet.effective_from if self.sheet else self._fx.from_ns

    @property
    def key(self) -> str:
        """The record's key."""
        return f"{self.kind}/{self.id}/{self.version}"

    @property
    def name(self) -> str:
        """How people call it."""
        return f"sheet {self.id}@{self.version}" if self.sheet else f"rate {self.id} from {self.version}"

    @property
    def _fx(self) -> FxRate:
        assert self.fx is not None
        return self.fx


def publication_of(document: Sheet | FxRate, *, published_at: int, retroactive: bool) -> Publication:
    """The publication of a sheet or rate."""
    if isinstance(document, Sheet):
        return Publication(kind="sheet", published_at=published_at, retroactive=retroactive, sheet=document)
    return Publication(kind="fx", published_at=published_at, retroactive=retroactive, fx=document)


def publication_bytes(publication: Publication) -> bytes:
    """The value of its record."""
    return document_bytes(publication, leave_out_null=True)


def parse_publication(key: bytes | None, value: bytes | None) -> Publication:
    """What a record says. Raises InvalidDocument, also where its key names something else."""
    name = "book record " + (key.decode(errors="replace")[:200] if key else "without a key")
    if value is None:
        raise InvalidDocument(name, ["document: is a tombstone, and the book keeps everything"])
    publication = parse_document(Publication, value, name=name)
    if key is None or key != publication.key.encode():
        raise InvalidDocument(name, [f"document: is called {publication.key}"])
    return publication


def first_of_each(publications: Iterable[Publication]) -> list[Publication]:
    """The publications that count, in their order: of those with the same key the first."""
    counting: dict[str, Publication] = {}
    for publication in publications:
        counting.setdefault(publication.key, publication)
    return list(counting.values())


def is_published(book: list[Publication], new: Publication) -> bool:
    """Whether exactly this is in the book. Raises InvalidDocument where its name has other content."""
    for old in book:
        if old.key == new.key:
            differences = _differences(old.document, new.document)
            if differences:
                raise InvalidDocument(
                    new.name,
                    [
                        f"was published at {format_time(old.published_at)} with other content, and what is "
                        f"published never changes: {differences}"
                    ],
                )
            return True
    return False


def check_start(book: list[Publication], new: Publication, now: int) -> None:
    """Raises InvalidDocument where `new` takes over a time that has passed at `now` and does not say so."""
    if new.retroactive or new.from_ns > now:
        return
    older = [old for old in book if (old.kind, old.id) == (new.kind, new.id) and old.from_ns <= new.from_ns]
    if older:
        in_force = max(older, key=lambda old: old.from_ns)
        raise InvalidDocument(
            new.name,
            [
                f"starts at {format_time(new.from_ns)}, which has passed, and {in_force.name} is in force "
                "then; --retroactive publishes it nevertheless"
            ],
        )


def _differences(old: Sheet | FxRate, new: Sheet | FxRate) -> str:
    """The first of them, with both values; provenance and the order of models make none."""
    if isinstance(old, Sheet) and isinstance(new, Sheet):
        found = [(each.path, each.old, each.new) for each in diff_sheets(old, new)]
    else:
        assert isinstance(old, FxRate)
        assert isinstance(new, FxRate)
        found = [("rate", plain(old.rate), plain(new.rate))] if old.rate != new.rate else []
    text = [f"{path} is {was or 'missing'} there and {now or 'missing'} here" for path, was, now in found]
    more = f", and {len(text) - 3} more" if len(text) > 3 else ""
    return ", ".join(text[:3]) + more
