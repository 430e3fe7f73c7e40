"""The options that streams have in common."""

from __future__ import annotations

import ssl
from typing import Any, ClassVar

import attrs
from attrs.validators import optional
from evframe_http import Credentials, fields
from evframe_wire.endpoints import parse_endpoint

from evframe.plugin import at_least, file_digests, secret


def is_path(_: Any, attribute: attrs.Attribute[str], value: str) -> None:
    """Validate the path of requests."""
    if not value.startswith("/") or "?" in value or not value.isascii():
        raise ValueError(f"{attribute.name}: expected a path such as '/events', got {value!r}")


@attrs.frozen(slots=False)
class LiveOptions:
    """Where clients open streams, who may, and how many."""

    is_described_with_each: ClassVar = True

    bind: str | None = attrs.field(
        default=None,
        validator=optional(fields.bind(lambda options: options.credentials.asks, "neither token_file nor token")),
    )
    """``host:port`` or ``[ipv6]:port``; port 0 takes a free one. Without it, nothing is opened.
    An address that others can reach needs ``token_file``."""
    path: str = attrs.field(default="/events", validator=is_path)
    """The path of requests."""
    hosts: list[str] = attrs.field(factory=list, validator=fields.host_names)
    """Names that clients may use in ``Host``, with any port, beside that of ``bind``, every address and ``localhost``;
    any name with the token."""
    origins: list[str] = attrs.field(factory=list, validator=fields.origins)
    """Web pages of other servers that may open streams, such as ``https://ops.example``."""
    token_file: str | None = attrs.field(default=None, validator=fields.secret_file)
    """A file that others cannot read, with the token that a client has to bring."""
    token: str | None = attrs.field(default=None, validator=fields.secret_line, repr=False, metadata=secret())
    """The token itself, instead of ``token_file``; best a reference such as ``${env:EVFRAME_TOKEN}``."""
    max_streams: int = attrs.field(default=256, validator=at_least(1))
    """How many streams there may be at once."""
    beat_s: float = attrs.field(default=15.0, validator=at_least(0.01))
    """After how many seconds without an event a client gets a sign of life, by which each side notices that the other
    one is gone."""
    timeout_s: float = attrs.field(default=30.0, validator=at_least(0.01))
    """How long a client may take nothing of what is sent before its connection is closed."""
    tls_cert_file: str | None = attrs.field(default=None, validator=fields.certificate)
    """The certificate, and those that certify it, in PEM; with ``tls_key_file`` all connections are TLS."""
    tls_key_file: str | None = None
    """The key of the certificate, in PEM, without a passphrase."""
    secrets: tuple[bytes | None, ...] = file_digests("token_file")
    certificates: tuple[bytes | None, ...] = file_digests("tls_cert_file", "tls_key_file")

    @property
    def credentials(self) -> Credentials:
        """What requests have to bring."""
        return Credentials(token_file=self.token_file, token=self.token, realm="evframe streams")

    @property
    def target(self) -> tuple[str, int] | None:
        """The host and port of ``bind``; None for none."""
        target = None if self.bind is None else parse_endpoint(self.bind)
        assert not isinstance(target, str)
        return target

    def tls(self) -> ssl.SSLContext | None:
        """Return what connections are encrypted with, or None; OSError when the files do not fit."""
        return fields.tls_context(self.tls_cert_file, self.tls_key_file)
