"""Fetches a foreign document from a file or over HTTP(S): its bytes, and its origin without secrets."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from streams import limits
from streams.errors import Refused
from streams.limits import PATIENCE, Patience, Progress, refuse_large, untold
from streams.settings import Settings

if TYPE_CHECKING:
    from streams.web import Secrets

FAL = "fal"


class Fetched(NamedTuple):
    """What was read, and the path or the URL without user, query and fragment."""

    value: bytes
    location: str


def fetch(
    place: str,
    settings: Settings,
    form: str | None = None,
    endpoints: Sequence[str] = (),
    patience: Patience = PATIENCE,
    *,
    progress: Progress = untold,
) -> Fetched:
    """The document of format `form` at a path or an http(s) URL. Raises Refused with one line, without secrets.

    `endpoints` are those that fal is asked for, ids or `@FILE`; without a form fal is known by its host.
    `progress` is told of bytes, for fal of endpoints.
    """
    is_url = place.lower().startswith(("http://", "https://"))
    if endpoints and not (is_url and form == FAL):
        raise Refused(f"{place}: endpoints are asked for at a URL of format {FAL} only")
    if not is_url:
        return _read_file(place)
    # The HTTP client takes a tenth of a second to load, which whoever reads a file need not wait for.
    from streams.fetching_fal import HOST as FAL_HOST
    from streams.fetching_fal import fetch_fal
    from streams.web import Site, location_of, parse_url

    url = parse_url(place)
    if form == FAL or (form is None and url.host == FAL_HOST):
        return Fetched(fetch_fal(url, endpoints, settings, patience, progress=progress), location_of(url))
    with Site(url, _secrets(settings), patience, progress=progress) as site:
        return Fetched(site.get(url), site.location)


def _read_file(place: str) -> Fetched:
    path = Path(place)
    try:
        with path.open("rb") as file:
            size_bytes = os.fstat(file.fileno()).st_size
            refuse_large(size_bytes, limits.SIZE_BYTES_MAX, f"{place}, {size_bytes:,} bytes,")
            value = file.read(limits.SIZE_BYTES_MAX + 1)
    except OSError as error:
        raise Refused(f"{place or repr(place)} cannot be read: {error.strerror}") from None
    refuse_large(len(value), limits.SIZE_BYTES_MAX, place)  # a pipe's size is known only now
    # A name may have bytes that are no text, which JSON cannot carry.
    return Fetched(value, path.name.encode(errors="replace").decode())


def _secrets(settings: Settings) -> "Secrets":
    from streams.web import Secrets, header_text

    given = {
        "authorization": ("import_bearer_token", "Bearer ", settings.import_bearer_token),
        "x-api-key": ("import_api_key", "", settings.import_api_key),
    }
    headers = {
        header: before + header_text(name, secret)
        for header, (name, before, secret) in given.items()
        if secret is not None
    }
    return Secrets(headers, "set STREAM_PRICING_IMPORT_BEARER_TOKEN or STREAM_PRICING_IMPORT_API_KEY")
