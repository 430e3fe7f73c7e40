"""The options of the interface: the table ``[plugins.mi-http]``."""

from __future__ import annotations

import ssl
from typing import Any

import attrs
from evframe_mi import NarrowingOptions
from evframe_wire.endpoints import is_loopback, known_group, known_user, octal_mode, parse_endpoint

from evframe.plugin import at_least, file_digests, read_secret, secret
from evframe_mi_http.origin import Authority, parse_origin


def _bind(options: Options, attribute: attrs.Attribute[str], value: str) -> None:
    try:
        target = parse_endpoint(value)
    except ValueError as error:
        raise ValueError(f"{attribute.name}: {error}") from None
    if not isinstance(target, str) and not is_loopback(target[0]) and not options.asks_who:
        raise ValueError(
            f"{attribute.name}: expected a loopback address or unix:path where there is neither"
            f" token_file nor token nor auth_username, got {value!r}; bind to 127.0.0.1, or set token_file"
        )


def _path(_: Any, attribute: attrs.Attribute[str], value: str) -> None:
    if not value.startswith("/") or value.endswith("/") or "?" in value:
        raise ValueError(f"{attribute.name}: expected a path such as '/mi', got {value!r}")


def _secret(_: Any, attribute: attrs.Attribute[Any], value: str | None) -> None:
    if value is not None:
        try:
            read_secret(value)
        except ValueError as error:
            raise ValueError(f"{attribute.name}: {error}") from None


def _is_one_line(attribute: attrs.Attribute[Any], value: str | None, other: str | None) -> None:
    if value is not None and (not value or not value.isprintable()):
        raise ValueError(f"{attribute.name}: expected one line of text")
    if value is not None and other is not None:
        raise ValueError(f"{attribute.name}: expected either it or {attribute.name}_file")


def _token(options: Options, attribute: attrs.Attribute[Any], value: str | None) -> None:
    _is_one_line(attribute, value, options.token_file)


def _password(options: Options, attribute: attrs.Attribute[Any], value: str | None) -> None:
    _is_one_line(attribute, value, options.auth_password_file)


def _username(options: Options, attribute: attrs.Attribute[Any], value: str | None) -> None:
    if (value is None) != (options.auth_password_file is None and options.auth_password is None):
        raise ValueError(
            f"{attribute.name}: expected it together with auth_password_file or auth_password, got {value!r}"
        )
    if value is not None and (":" in value or not value.isprintable() or not value):
        raise ValueError(f"{attribute.name}: expected a name without a colon, got {value!r}")


def _realm(_: Any, attribute: attrs.Attribute[str], value: str) -> None:
    if not value.isascii() or not value.isprintable() or set(value) & set('"\\'):
        raise ValueError(f"{attribute.name}: expected text without quotation marks, got {value!r}")


def _hosts(_: Any, attribute: attrs.Attribute[Any], value: list[str]) -> None:
    for host in value:
        authority = Authority.of(host)
        if authority is None or authority.port is not None:
            raise ValueError(f"{attribute.name}: expected host names without a port, got {host!r}")


def _origins(_: Any, attribute: attrs.Attribute[Any], value: list[str]) -> None:
    for origin in value:
        if parse_origin(origin) is None:
            raise ValueError(f"{attribute.name}: expected origins such as 'https://ops.example', got {origin!r}")


def _certificate(options: Options, attribute: attrs.Attribute[Any], value: str | None) -> None:
    if (value is None) != (options.tls_key_file is None):
        raise ValueError(f"{attribute.name}: expected it together with tls_key_file, got {value!r}")
    try:
        options.tls()
    except OSError as error:
        raise ValueError(
            f"{attribute.name}: expected a certificate that fits tls_key_file, got {value!r}: {error}"
        ) from None


@attrs.frozen
class Options(NarrowingOptions):
    """Where the interface listens, who may use it and what it accepts."""

    bind: str = attrs.field(default="127.0.0.1:8888", validator=_bind)
    """``host:port``, ``[ipv6]:port`` or ``unix:path``; port 0 takes a free one.
    An address that others can reach needs ``token_file`` or ``auth_username``."""
    path: str = attrs.field(default="/mi", validator=_path)
    """Requests for this path and everything below it are answered."""
    hosts: list[str] = attrs.field(factory=list, validator=_hosts)
    """Names that clients may use for this interface in ``Host``, with any port, beside that of ``bind``, every
    address and ``localhost``."""
    origins: list[str] = attrs.field(factory=list, validator=_origins)
    """Web pages that may use this interface, such as ``https://ops.example``."""
    max_body_bytes: int = attrs.field(default=1 << 20, validator=at_least(1))
    """The largest request."""
    conn_timeout_s: float = 30.0
    """How long a connection may be idle, or a request take to arrive; 0 for no limit."""
    pretty_printing: bool = False
    """Answer with one member per line."""
    token_file: str | None = attrs.field(default=None, validator=_secret)
    """A file that others cannot read, with the token that every request has to bring as
    ``Authorization: Bearer``."""
    token: str | None = attrs.field(default=None, validator=_token, repr=False, metadata=secret())
    """The token itself, instead of ``token_file``; best a reference such as ``${env:EVFRAME_TOKEN}``."""
    auth_username: str | None = attrs.field(default=None, validator=_username)
    """The name that every request has to bring with its password, as ``Authorization: Basic``.
    Beside a token either of the two will do."""
    auth_password_file: str | None = attrs.field(default=None, validator=_secret)
    """A file that others cannot read, with the password of ``auth_username``."""
    auth_password: str | None = attrs.field(default=None, validator=_password, repr=False, metadata=secret())
    """The password itself, instead of ``auth_password_file``; best a reference."""
    auth_realm: str = attrs.field(default="OpenSIPS MI", validator=_realm)
    """What a request without a token or a password learns that they are for."""
    tls_cert_file: str | None = attrs.field(default=None, validator=_certificate)
    """The certificate, and those that certify it, in PEM; with ``tls_key_file`` all connections are TLS."""
    tls_key_file: str | None = None
    """The key of the certificate, in PEM, without a passphrase."""
    unix_socket_mode: str = attrs.field(default="660", validator=octal_mode)
    """The octal mode of a UNIX path."""
    unix_socket_user: int | str | None = attrs.field(default=None, validator=known_user)
    """Whom a UNIX path belongs to, by name or id."""
    unix_socket_group: int | str | None = attrs.field(default=None, validator=known_group)
    """The group of a UNIX path, by name or id."""
    secrets: tuple[bytes | None, ...] = file_digests("token_file", "auth_password_file")
    certificates: tuple[bytes | None, ...] = file_digests("tls_cert_file", "tls_key_file")

    @property
    def asks_who(self) -> bool:
        """Whether a request has to prove that it may be made."""
        return self.token_file is not None or self.token is not None or self.auth_username is not None

    def tls(self) -> ssl.SSLContext | None:
        """Return what connections are encrypted with, or None; OSError when the files do not fit."""
        if self.tls_cert_file is None:
            return None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        # A key with a passphrase is an error, not a question on the terminal.
        context.load_cert_chain(self.tls_cert_file, self.tls_key_file, password="")
        return context
