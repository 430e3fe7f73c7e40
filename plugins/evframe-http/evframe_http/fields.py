"""Validators of the options that servers have in common; each error begins with the option."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from typing import Any

import attrs
from evframe_wire.endpoints import is_loopback, parse_endpoint
from evframe_wire.tls import server_context

from evframe.plugin import read_secret
from evframe_http.origin import Authority, parse_origin

Validator = Callable[[Any, "attrs.Attribute[Any]", Any], None]


def bind(asks: Callable[[Any], bool], without: str, *, has_paths: bool = False) -> Validator:
    """Return the validator of an address, which is one of this machine alone where requests need bring nothing.

    Args:
        asks: returns whether the options have requests bring something.
        without: what is not set where they need bring nothing, for the error, as in ``no token_file``.
        has_paths: whether it may be a UNIX path.
    """

    def check(options: Any, attribute: attrs.Attribute[Any], value: str) -> None:
        try:
            target = parse_endpoint(value)
        except ValueError as error:
            raise ValueError(f"{attribute.name}: {error}") from None
        if isinstance(target, str):
            if not has_paths:
                raise ValueError(f"{attribute.name}: expected host:port, got {value!r}")
        elif not is_loopback(target[0]) and not asks(options):
            raise ValueError(
                f"{attribute.name}: expected a loopback address{' or unix:path' if has_paths else ''} where there is"
                f" {without}, got {value!r}; bind to 127.0.0.1, or set token_file"
            )

    return check


def secret_file(_: Any, attribute: attrs.Attribute[Any], value: str | None) -> None:
    """Validate the path of a file with a secret, which can be read."""
    if value is not None:
        try:
            read_secret(value)
        except ValueError as error:
            raise ValueError(f"{attribute.name}: {error}") from None


def secret_line(options: Any, attribute: attrs.Attribute[Any], value: str | None) -> None:
    """Validate a secret, which is set instead of the option with the same name and ``_file``."""
    if value is not None and (not value or not value.isprintable()):
        raise ValueError(f"{attribute.name}: expected one line of text")
    if value is not None and getattr(options, f"{attribute.name}_file") is not None:
        raise ValueError(f"{attribute.name}: expected either it or {attribute.name}_file")


def host_names(_: Any, attribute: attrs.Attribute[Any], value: list[str]) -> None:
    """Validate names that clients may use in ``Host``."""
    for host in value:
        authority = Authority.of(host)
        if authority is None or authority.port is not None:
            raise ValueError(f"{attribute.name}: expected host names without a port, got {host!r}")


def origins(_: Any, attribute: attrs.Attribute[Any], value: list[str]) -> None:
    """Validate the origins of web pages."""
    for origin in value:
        if parse_origin(origin) is None:
            raise ValueError(f"{attribute.name}: expected origins such as 'https://ops.example', got {origin!r}")


def certificate(options: Any, attribute: attrs.Attribute[Any], value: str | None) -> None:
    """Validate the path of a certificate, whose key the option ``tls_key_file`` has."""
    if (value is None) != (options.tls_key_file is None):
        raise ValueError(f"{attribute.name}: expected it together with tls_key_file, got {value!r}")
    try:
        tls_context(value, options.tls_key_file)
    except OSError as error:
        raise ValueError(
            f"{attribute.name}: expected a certificate that fits tls_key_file, got {value!r}: {error}"
        ) from None


def tls_context(cert_file: str | None, key_file: str | None) -> ssl.SSLContext | None:
    """Return what connections are encrypted with; None without a certificate.

    Raises:
        OSError: if the files do not fit.
    """
    if cert_file is None:
        return None
    return server_context(cert_file, key_file)
