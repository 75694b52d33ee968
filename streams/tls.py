"""The TLS of a client: which authorities it trusts, and the certificate that it shows."""

import ssl
from pathlib import Path
from typing import NamedTuple

from streams.errors import Refused


class Certificate(NamedTuple):
    """PEM files, and the password of the key; without a file of its own the key is in the certificate's."""

    file: Path
    key_file: Path | None
    password: str | None


def client_context(authorities: Path | None, certificate: Certificate | None, *, check_host: bool) -> ssl.SSLContext:
    """The context of a client; without `authorities` it trusts the system's. Refused: a file that cannot be used."""
    files = [str(file) for file in (authorities, *(certificate or ())[:2]) if file]
    try:
        context = ssl.create_default_context(cafile=authorities)
        context.check_hostname = check_host
        if certificate is not None:
            _load(context, certificate)
    except (OSError, ValueError) as error:
        raise Refused(f"the TLS files {', '.join(files)} cannot be used: {error}") from None
    return context


def _load(context: ssl.SSLContext, certificate: Certificate) -> None:
    is_encrypted = False

    def password() -> str:
        nonlocal is_encrypted
        is_encrypted = True
        return certificate.password or ""

    try:
        context.load_cert_chain(certificate.file, certificate.key_file, password)
    except ssl.SSLError:
        if not is_encrypted:
            raise
        said = "does not open it" if certificate.password else "is not set"
        key = certificate.key_file or certificate.file
        raise Refused(f"the key in {key} is encrypted, and ssl_key_password {said}") from None
