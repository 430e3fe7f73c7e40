"""How connections are encrypted: with TLS 1.2 at least, whatever the system allows."""

from __future__ import annotations

import ssl
from functools import cached_property
from typing import Any

from evframe_wire.exceptions import ConfigError


def client_context(
    ca_file: str | None = None, cert_file: str | None = None, key_file: str | None = None, **more: Any
) -> ssl.SSLContext:
    """Return what a client connects with, which checks the name and the certificate of the server.

    Those of the system take 50 ms to read, which the thread of an event loop should not wait for.

    Args:
        ca_file: the certificates of the authorities, instead of those of the system.
        cert_file: the certificate that the client has, and those that certify it, in PEM; None for none.
        key_file: its key, without a passphrase; None when it is in *cert_file*.
        more: further arguments of `ssl.create_default_context`.

    Raises:
        OSError: if a file cannot be used.
    """
    context = _bounded(ssl.create_default_context(cafile=ca_file, **more))
    if cert_file is not None:
        _show(context, cert_file, key_file)
    return context


def checked_context(
    ca_file: str | None = None, cert_file: str | None = None, key_file: str | None = None
) -> ssl.SSLContext:
    """Return what `client_context` does, for options of these names.

    Raises:
        ConfigError: if a file cannot be used, with the name of the option.
    """
    field, file = "ca_file", ca_file
    try:
        context = client_context(ca_file)
        if cert_file is not None:
            field, file = "cert_file", cert_file
            _show(context, cert_file, key_file)
    except OSError as error:
        raise ConfigError([f"{field}: expected certificates, got {file!r}: {error}"]) from None
    return context


class ClientTls:
    """What a plugin connects with, of its options: made at once where they name a file, else at the first use.

    Args:
        ca_file, cert_file, key_file: see `client_context`.

    Raises:
        ConfigError: if a file cannot be used, with the name of the option.
    """

    def __init__(self, ca_file: str | None = None, cert_file: str | None = None, key_file: str | None = None) -> None:
        self._files = ca_file, cert_file, key_file
        if ca_file is not None or cert_file is not None:
            self.context  # noqa: B018 a file that cannot be used is an error of the start

    @cached_property
    def context(self) -> ssl.SSLContext:
        """What certificates are checked with; the default ones take 50 ms to read, which a start need not wait for."""
        return checked_context(*self._files)


def server_context(cert_file: str, key_file: str | None) -> ssl.SSLContext:
    """Return what a server accepts connections with.

    Args:
        cert_file: its certificate, and those that certify it, in PEM.
        key_file: the key, without a passphrase; None when it is in *cert_file*.

    Raises:
        OSError: if the files do not fit.
    """
    context = _bounded(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
    _show(context, cert_file, key_file)
    return context


def _show(context: ssl.SSLContext, cert_file: str, key_file: str | None) -> None:
    # A key with a passphrase is an error, not a question on the terminal.
    context.load_cert_chain(cert_file, key_file, password="")


def _bounded(context: ssl.SSLContext) -> ssl.SSLContext:
    # Python leaves the version to the system where it was built so, as that of Debian is.
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context
