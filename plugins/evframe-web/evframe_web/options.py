"""The options of the plugin: the table ``[plugins.web]``."""

from __future__ import annotations

import ssl
from typing import Any

import attrs
from evframe_http import Credentials, fields
from evframe_mi import NarrowingOptions
from evframe_wire.endpoints import parse_endpoint

from evframe.plugin import at_least, file_digests, secret


def _without_token(options: Options, attribute: attrs.Attribute[Any], value: bool) -> None:  # noqa: FBT001 as attrs calls it
    if value and not options.credentials.asks:
        raise ValueError(f"{attribute.name}: expected it together with token_file or token, got {value!r}")


def _title(_: Any, attribute: attrs.Attribute[str], value: str) -> None:
    if value and not value.isprintable():
        raise ValueError(f"{attribute.name}: expected one line of text, got {value!r}")


@attrs.frozen
class Options(NarrowingOptions):
    """Where the page is served, who may read it and who may act."""

    bind: str = attrs.field(
        default="127.0.0.1:9465",
        validator=fields.bind(lambda options: options.credentials.asks, "neither token_file nor token"),
    )
    """``host:port`` or ``[ipv6]:port``; port 0 takes a free one.
    An address that others can reach needs ``token_file``. Nothing is opened without the table ``[plugins.web]``."""
    title: str = attrs.field(default="", validator=_title)
    """What the page calls this gateway; without it, the name of the machine."""
    hosts: list[str] = attrs.field(factory=list, validator=fields.host_names)
    """Names that browsers may use for the page in ``Host``, with any port, beside that of ``bind``, every address and
    ``localhost``; any name with the token."""
    token_file: str | None = attrs.field(default=None, validator=fields.secret_file)
    """A file that others cannot read, with the token that is typed into the page to read it and to act.
    Without a token, the page is read-only."""
    token: str | None = attrs.field(default=None, validator=fields.secret_line, repr=False, metadata=secret())
    """The token itself, instead of ``token_file``; best a reference such as ``${env:EVFRAME_TOKEN}``."""
    read_without_token: bool = attrs.field(default=False, validator=_without_token)
    """Whether the page can be read without the token, which is needed to act alone then. The parameters of events
    can be personal data."""
    max_viewers: int = attrs.field(default=100, validator=at_least(1))
    """How many pages may look at live events at once."""
    events_per_s: int = attrs.field(default=500, validator=at_least(1))
    """How many events a second are sent to a page at most; the others are counted there."""
    tls_cert_file: str | None = attrs.field(default=None, validator=fields.certificate)
    """The certificate, and those that certify it, in PEM; with ``tls_key_file`` all connections are TLS."""
    tls_key_file: str | None = None
    """The key of the certificate, in PEM, without a passphrase."""
    secrets: tuple[bytes | None, ...] = file_digests("token_file")
    certificates: tuple[bytes | None, ...] = file_digests("tls_cert_file", "tls_key_file")

    @property
    def credentials(self) -> Credentials:
        """What requests have to bring."""
        return Credentials(token_file=self.token_file, token=self.token, realm="evframe web")

    @property
    def target(self) -> tuple[str, int]:
        """The host and port of ``bind``."""
        target = parse_endpoint(self.bind)
        assert not isinstance(target, str)
        return target

    def tls(self) -> ssl.SSLContext | None:
        """Return what connections are encrypted with, or None; OSError when the files do not fit."""
        return fields.tls_context(self.tls_cert_file, self.tls_key_file)
