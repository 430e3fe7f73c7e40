"""How connections are encrypted: with TLS 1.2 at least, whatever the system allows."""

from __future__ import annotations

import ssl
from typing import Any


def client_context(ca_file: str | None = None, **more: Any) -> ssl.SSLContext:
    """Return what a client connects with, which checks the name and the certificate of the server.

    Args:
        ca_file: the certificates of the authorities, instead of those of the system.
        more: further arguments of `ssl.create_default_context`.

    Raises:
        OSError: if the file cannot be used.
    """
    return _bounded(ssl.create_default_context(cafile=ca_file, **more))


def server_context(cert_file: str, key_file: str | None) -> ssl.SSLContext:
    """Return what a server accepts connections with.

    Args:
        cert_file: its certificate, and those that certify it, in PEM.
        key_file: the key, without a passphrase; None when it is in *cert_file*.

    Raises:
        OSError: if the files do not fit.
    """
    context = _bounded(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
    # A key with a passphrase is an error, not a question on the terminal.
    context.load_cert_chain(cert_file, key_file, password="")
    return context


def _bounded(context: ssl.SSLContext) -> ssl.SSLContext:
    # Python leaves the version to the system where it was built so, as that of Debian is.
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context
