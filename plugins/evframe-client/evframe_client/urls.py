"""The URLs of management interfaces, of each transport that the interface has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlencode, urlsplit

import attrs
from evframe_wire.addresses import split_host_port
from evframe_wire.masking import without_secrets

DEFAULT_URL: Final = "http://127.0.0.1:8888/mi"
_SAFE: Final = "/%:@!$&'()*+,;=~?"
_FORMS: Final = "http://, https://, http+unix://, udp://, unix:// or fifo://"
_ANY: Final = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]", "*": "127.0.0.1"}  # noqa: S104 compared, not bound


@attrs.frozen
class HttpUrl:
    """``http://host:port/path``, ``https://…`` or ``http+unix://%2Frun%2Fmi.sock/path``."""

    host: str
    port: int
    target: str
    """The path and the query, as they are in the request."""
    tls: bool = False
    unix_path: str | None = None
    credentials: str | None = attrs.field(default=None, repr=False)
    """``user:password``, when the URL has them."""

    @property
    def place(self) -> tuple[str, int] | None:
        """Host and port; None for a path."""
        return (self.host, self.port) if self.unix_path is None else None


@attrs.frozen
class UdpUrl:
    """``udp://host:port``, or ``udp:host:port`` as a socket has it."""

    host: str
    port: int

    @property
    def place(self) -> tuple[str, int]:
        """Host and port."""
        return self.host, self.port


@attrs.frozen
class UnixUrl:
    """``unix:///run/mi.sock?reply_dir=/tmp``, a socket for datagrams."""

    path: str
    reply_dir: str | None
    """The folder in which this side binds its own name; None for that of temporary files."""
    place: ClassVar[None] = None


@attrs.frozen
class FifoUrl:
    """``fifo:///tmp/opensips_fifo?reply_dir=/tmp``."""

    path: str
    reply_dir: str
    place: ClassVar[None] = None


Url = HttpUrl | UdpUrl | UnixUrl | FifoUrl


def parse_url(url: str) -> Url:
    """Return the parts of *url*.

    Raises:
        ValueError: if it is not the URL of a management interface.
    """
    try:
        parts = urlsplit(url)
        if parts.scheme in {"http", "https"}:
            return _http(parts)
        if parts.scheme == "http+unix":
            return HttpUrl("localhost", 0, _target(parts), unix_path=_path(unquote(parts.netloc)))
        if parts.scheme == "udp":
            return UdpUrl(*split_host_port(parts.netloc or parts.path))
        if parts.scheme == "unix":
            return UnixUrl(_path(_local(parts)), _reply_dir(parts))
        if parts.scheme == "fifo":
            return FifoUrl(_path(_local(parts)), _reply_dir(parts) or "/tmp")  # noqa: S108 that of the original
    except ValueError as error:
        raise ValueError(f"URL {without_password(url)!r}: {error}") from None
    raise ValueError(f"URL {without_password(url)!r}: expected {_FORMS}")


def _http(parts: SplitResult) -> HttpUrl:
    credentials, at, place = parts.netloc.rpartition("@")
    tls = parts.scheme == "https"
    if not parts.hostname:
        raise ValueError("expected a host")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    port = (443 if tls else 80) if parts.port is None and not place.endswith(":") else parts.port
    host, port = split_host_port(f"{host}:{'' if port is None else port}")
    return HttpUrl(host, port, _target(parts), tls, credentials=unquote(credentials) if at else None)


def _target(parts: SplitResult) -> str:
    query = f"?{parts.query}" if parts.query else ""
    return quote((parts.path or "/") + query, safe=_SAFE)


def _local(parts: SplitResult) -> str:
    if parts.netloc:
        raise ValueError(f"expected three slashes before the path, got {parts.scheme}://{parts.netloc}")
    return unquote(parts.path)


def _path(text: str) -> str:
    if not text.startswith("/") or "\0" in text:
        raise ValueError(f"expected an absolute path, got {text!r}")
    return text


def _reply_dir(parts: SplitResult) -> str | None:
    found = dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query)))
    unknown = sorted(found.keys() - {"reply_dir"})
    if unknown:
        raise ValueError(f"expected reply_dir, got {unknown[0]!r}")
    return _path(found["reply_dir"]) if found else None


def without_password(url: str) -> str:
    """Return *url* as it can be shown."""
    if url.startswith("http"):
        return without_secrets(url)
    head, slashes, rest = url.partition("://")
    place, slash, path = rest.partition("/")
    credentials, at, host = place.rpartition("@")
    user, colon, _ = credentials.partition(":")
    return f"{head}{slashes}{user}{':***' if colon else ''}{at}{host}{slash}{path}"


def url_of(tables: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the URL of the first management interface among *tables*, the plugins' of a configuration."""
    for name, options in tables.items():
        if name in _URL_OF:
            url = _URL_OF[name](options)
            if url is not None:
                return url
    return DEFAULT_URL


def _url_of_http(options: Mapping[str, Any]) -> str:
    bind = options.get("bind", "127.0.0.1:8888")
    path = options.get("path", "/mi")
    if bind.startswith("unix:"):
        return f"http+unix://{quote(bind[5:], safe='')}{path}"
    host, _, port = bind.rpartition(":")
    scheme = "https" if options.get("tls_cert_file") else "http"
    return f"{scheme}://{_ANY.get(host, host)}:{port}{path}"


def _url_of_datagram(options: Mapping[str, Any]) -> str | None:
    name = options.get("socket_name")
    if name is None:
        return None
    scheme, _, place = name.partition(":")
    if scheme == "udp":
        host, _, port = place.rpartition(":")
        return f"udp://{_ANY.get(host, host)}:{port}"
    return f"unix://{quote(place if scheme == 'unix' else name)}"


def _url_of_fifo(options: Mapping[str, Any]) -> str | None:
    if "fifo_name" not in options:
        return None
    query = urlencode({"reply_dir": options["reply_dir"]}, safe="/") if "reply_dir" in options else ""
    return f"fifo://{quote(options['fifo_name'])}{'?' if query else ''}{query}"


_URL_OF: Final = {"mi-http": _url_of_http, "mi-datagram": _url_of_datagram, "mi-fifo": _url_of_fifo}
