"""Fetches the prices of fal's endpoints: `GET /v1/models/pricing` (docs.fal.ai, "Pricing"), all pages as one document.

The API answers for at most 50 endpoints a request and gives its answer in pages; what is made of them is one page of
the same form, every price in it byte by byte as it came, and `asked`, the endpoints that it was asked for.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import httpx
import msgspec

from streams.errors import Refused
from streams.limits import PATIENCE, Patience, Progress, untold
from streams.settings import Settings
from streams.web import Secrets, Site, header_text

ENDPOINTS_PER_REQUEST = 50
REQUESTS_MAX = 1_000
HOST = "api.fal.ai"

_PARAMETER = "endpoint_id"


class _Page(msgspec.Struct):
    """An answer of the API; its prices stay as they are, so that no number is read and written again."""

    prices: list[msgspec.Raw]
    has_more: bool = False
    next_cursor: str | None = None


def fetch_fal(
    url: httpx.URL,
    endpoints: Sequence[str],
    settings: Settings,
    patience: Patience = PATIENCE,
    *,
    progress: Progress = untold,
) -> bytes:
    """The prices of these endpoints and of those that the URL names, as JSON. Raises Refused with one line.

    An endpoint is an id, or `@FILE` for the lines of a file.
    """
    named = [part for value in url.params.get_list(_PARAMETER) for part in value.split(",")]
    listed = [part for text in endpoints for part in (_lines(text[1:]) if text.startswith("@") else [text])]
    asked = list(dict.fromkeys(part for part in (*named, *listed) if part))
    key = settings.import_fal_key
    headers = {} if key is None else {"authorization": f"Key {header_text('import_fal_key', key)}"}
    prices: list[msgspec.Raw] = []
    with Site(url, Secrets(headers, "set STREAM_PRICING_IMPORT_FAL_KEY"), patience) as site:
        for start in range(0, max(1, len(asked)), ENDPOINTS_PER_REQUEST):
            for page in _pages(site, _request(url, asked[start : start + ENDPOINTS_PER_REQUEST])):
                prices += page.prices
                progress(len(prices), len(asked) or None)
    joined = {"asked": asked, "prices": prices, "next_cursor": None, "has_more": False}
    return msgspec.json.encode(joined)


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text("utf-8").split()
    except OSError as error:
        raise Refused(f"{path} cannot be read: {error.strerror}") from None
    except ValueError:
        raise Refused(f"{path} is not UTF-8 text") from None


def _request(url: httpx.URL, endpoints: Sequence[str]) -> httpx.URL:
    params = url.params.remove(_PARAMETER).remove("cursor")
    for endpoint in endpoints:
        params = params.add(_PARAMETER, endpoint)
    return url.copy_with(params=params)


def _pages(site: Site, url: httpx.URL) -> Iterator[_Page]:
    seen: set[str] = set()
    asking = url
    while True:
        page = _page(site, asking)
        yield page
        cursor = page.next_cursor
        if cursor is None:
            if page.has_more:
                raise Refused(f"{site.location} says that there is more, and not where")
            return
        if cursor in seen or len(seen) == REQUESTS_MAX:
            raise Refused(f"{site.location} has pages without end: a cursor came twice, or over {REQUESTS_MAX:,} did")
        seen.add(cursor)
        asking = url.copy_set_param("cursor", cursor)


def _page(site: Site, url: httpx.URL) -> _Page:
    try:
        return msgspec.json.decode(site.get(url), type=_Page)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Refused(f"{site.location} answered with what is no page of prices: {error}") from None
