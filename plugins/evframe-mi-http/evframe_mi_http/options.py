"""The options of the interface: the table ``[plugins.mi-http]``."""

from __future__ import annotations

import ssl
from typing import Any

import attrs
from evframe_http import Credentials, fields
from evframe_mi import NarrowingOptions
from evframe_wire.endpoints import known_group, known_user, octal_mode

from evframe.plugin import at_least, file_digests, secret


def _path(_: Any, attribute: attrs.Attribute[str], value: str) -> None:
    if not value.startswith("/") or value.endswith("/") or "?" in value:
        raise ValueError(f"{attribute.name}: expected a path such as '/mi', got {value!r}")


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


@attrs.frozen
class Options(NarrowingOptions):
    """Where the interface listens, who may use it and what it accepts."""

    bind: str = attrs.field(
        default="127.0.0.1:8888",
        validator=fields.bind(
            lambda options: options.credentials.asks, "neither token_file nor token nor auth_username", has_paths=True
        ),
    )
    """``host:port``, ``[ipv6]:port`` or ``unix:path``; port 0 takes a free one.
    An address that others can reach needs ``token_file`` or ``auth_username``."""
    path: str = attrs.field(default="/mi", validator=_path)
    """Requests for this path and everything below it are answered."""
    hosts: list[str] = attrs.field(factory=list, validator=fields.host_names)
    """Names that clients may use for this interface in ``Host``, with any port, beside that of ``bind``, every
    address and ``localhost``."""
    origins: list[str] = attrs.field(factory=list, validator=fields.origins)
    """Web pages that may use this interface, such as ``https://ops.example``."""
    max_body_bytes: int = attrs.field(default=1 << 20, validator=at_least(1))
    """The largest request."""
    conn_timeout_s: float = 30.0
    """How long a connection may be idle, or a request take to arrive; 0 for no limit."""
    pretty_printing: bool = False
    """Answer with one member per line."""
    token_file: str | None = attrs.field(default=None, validator=fields.secret_file)
    """A file that others cannot read, with the token that every request has to bring as
    ``Authorization: Bearer``."""
    token: str | None = attrs.field(default=None, validator=fields.secret_line, repr=False, metadata=secret())
    """The token itself, instead of ``token_file``; best a reference such as ``${env:EVFRAME_TOKEN}``."""
    auth_username: str | None = attrs.field(default=None, validator=_username)
    """The name that every request has to bring with its password, as ``Authorization: Basic``.
    Beside a token either of the two will do."""
    auth_password_file: str | None = attrs.field(default=None, validator=fields.secret_file)
    """A file that others cannot read, with the password of ``auth_username``."""
    auth_password: str | None = attrs.field(default=None, validator=fields.secret_line, repr=False, metadata=secret())
    """The password itself, instead of ``auth_password_file``; best a reference."""
    auth_realm: str = attrs.field(default="OpenSIPS MI", validator=_realm)
    """What a request without a token or a password learns that they are for."""
    tls_cert_file: str | None = attrs.field(default=None, validator=fields.certificate)
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
    def credentials(self) -> Credentials:
        """What requests have to bring."""
        return Credentials(
            token_file=self.token_file,
            token=self.token,
            username=self.auth_username,
            password_file=self.auth_password_file,
            password=self.auth_password,
            realm=self.auth_realm,
        )

    def tls(self) -> ssl.SSLContext | None:
        """Return what connections are encrypted with, or None; OSError when the files do not fit."""
        return fields.tls_context(self.tls_cert_file, self.tls_key_file)
