"""The sockets of the transport: credentials, broker, parameters and routing key."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cached_property
from typing import Any, Final

import attrs
from evframe_wire.addresses import check_host, without_brackets
from evframe_wire.urls import decoded, encoded

from evframe import split_host_port
from evframe.plugin import template_text
from evframe_rabbitmq.routes import Route, route_of

FORM: Final = "expected [user[:password]@]host[:port][,host[:port]…]/[param;…?]routing-key"
PORT, TLS_PORT = 5672, 5671
_PARAMS: Final = (
    "exchange=, vhost=, persistent, tls, external, content_type=, app_id=, correlation_id=, priority=, "
    "expiration_ms=, message_id, timestamp, header.NAME="
)
_MOST_BYTES: Final = 255  # of a short string of AMQP
_MOST: Final = {"expiration_ms": 2**32 - 1, "priority": 255}
_FLAGS: Final = {"persistent", "tls", "external", "message_id", "timestamp"}
_TEXTS: Final = {"exchange", "vhost", "content_type", "app_id", "correlation_id"}
_HEADER: Final = re.compile(r"header\.([^=]+)")


@attrs.frozen(slots=True)
class RabbitSocket:
    """``rabbitmq:user@host/exchange=ex;persistent?key``; the password is in no text."""

    host: str
    port: int
    user: str
    password: str = attrs.field(repr=False)
    key: str = ""
    exchange: str = ""
    vhost: str = "/"
    persistent: bool = False
    tls: bool = False
    content_type: str | None = None
    expiration_ms: int | None = None
    message_id: bool = False
    headers: Mapping[str, str] = attrs.field(factory=dict)
    route: Route | None = attrs.field(default=None, eq=False, repr=False)
    app_id: str | None = None
    correlation_id: str | None = None
    priority: int | None = None
    timestamp: bool = False
    external: bool = False
    others: tuple[tuple[str, int], ...] = ()
    """Further hosts and ports, in the order in which they are tried."""

    @property
    def parameters(self) -> tuple[str, ...]:
        """The parameters of the event that the routing key and the headers have."""
        return () if self.route is None else self.route.parameters

    @cached_property  # every batch needs it
    def canonical(self) -> str:
        """A text that can be parsed again, but for the password."""
        hosts = ",".join(self._host(*each) for each in ((self.host, self.port), *self.others))
        params = ";".join(self._params())
        return f"rabbitmq:{_encode(self.user)}@{hosts}/{params}{'?' if params else ''}{self._key(params)}"

    def _host(self, host: str, port: int) -> str:
        shown = host if host.startswith("[") else _encode(host, "@")
        return shown if port == (TLS_PORT if self.tls else PORT) else f"{shown}:{port}"

    def _key(self, params: str) -> str:
        # What follows the mark is taken as it is; without one, a mark in the key would be one.
        return _encode(self.key, ("/;:@=?" if params else "/;:@=") + _braces(self.key))

    def _params(self) -> list[str]:
        shown = [
            f"exchange={_encode(self.exchange, blank='')}" if self.exchange else "",
            f"vhost={_encode(self.vhost, blank='')}" if self.vhost != "/" else "",
            "persistent" if self.persistent else "",
            "tls" if self.tls else "",
            "external" if self.external else "",
            f"content_type={_encode(self.content_type, blank='')}" if self.content_type else "",
            f"app_id={_encode(self.app_id, blank='')}" if self.app_id else "",
            f"correlation_id={_encode(self.correlation_id, blank='')}" if self.correlation_id else "",
            f"priority={self.priority}" if self.priority is not None else "",
            f"expiration_ms={self.expiration_ms}" if self.expiration_ms is not None else "",
            "message_id" if self.message_id else "",
            "timestamp" if self.timestamp else "",
            *(
                f"header.{_encode(name, blank='')}={_encode(value, _braces(value), blank='')}"
                for name, value in sorted(self.headers.items())
            ),
        ]
        return [param for param in shown if param]

    @property
    def expires(self) -> bool:
        """A lease may end."""
        return True

    @property
    def reserved(self) -> str | None:
        """What only the configuration may subscribe: the certificate would serve each client."""
        return "external" if self.external else None

    @property
    def endpoints(self) -> tuple[tuple[str, int], ...]:
        """Where the brokers are."""
        return tuple((without_brackets(host.strip()), port) for host, port in ((self.host, self.port), *self.others))

    @property
    def broker(self) -> tuple[Any, ...]:
        """What subscribers share a connection by."""
        return (self.host, self.port, self.others, self.user, self.password, self.vhost, self.tls, self.external)


def parse(rest: str) -> RabbitSocket:
    """Return the socket of *rest*.

    Raises:
        ValueError: if the text does not fit.
    """
    if rest.startswith("//"):  # which may have a password
        raise ValueError(f"{FORM}, got a URL")
    user, password, host, port_text, tail = _split(rest)
    before, mark, after = tail.partition("?")
    params = _parse_params(before) if mark else {}
    key = after if mark else tail
    if not key and not mark:
        raise ValueError(f"{FORM}, got no routing key")
    (first, port), *others = _hosts(host, port_text, TLS_PORT if params.get("tls") else PORT)
    key = _short("a routing key", decoded(template_text(key)))
    return RabbitSocket(
        first,
        port,
        "guest" if user is None else decoded(user),
        "guest" if password is None else decoded(password),
        key,
        route=route_of(key, params.get("headers", {})),
        others=tuple(others),
        **params,
    )


def _hosts(host: str, port: str | None, default: int) -> list[tuple[str, int]]:
    """Return each host with its port; behind the first comma, *port* has the rest of the list."""
    texts = (host if port is None else f"{host}:{port}").split(",")
    if len(texts) > 1 and not all(texts):
        raise ValueError(f"{FORM}, got an empty host")
    return [(_host(name), default if text is None else _port(text)) for name, text in map(_name_and_port, texts)]


def _name_and_port(text: str) -> tuple[str, str | None]:
    if not text.startswith("["):
        name, colon, port = text.partition(":")
        return name, port if colon else None
    address, bracket, rest = text.partition("]")
    if rest and not rest.startswith(":"):
        raise ValueError(f"{FORM}, got {rest!r} after an IPv6 address")
    return address + bracket, rest[1:] if rest else None


def _port(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,5}", text) or not 1 <= int(text) <= 65535:
        raise ValueError(f"expected a port from 1 to 65535, got {text!r}")
    return int(text)


def _host(text: str) -> str:
    host = decoded(text)
    if host.startswith("["):
        split_host_port(f"{host}:{PORT}")
    elif host:  # without one, connecting fails as it does in the original
        check_host(host.strip(" ").replace("@", ""))  # which the original takes, blanks around it as well
    return host


def _short(what: str, text: str) -> str:
    if len(text.encode()) > _MOST_BYTES:
        raise ValueError(f"expected {what} of at most {_MOST_BYTES} bytes, got {text!r}")
    return text


def _split(rest: str) -> tuple[str | None, str | None, str, str | None, str]:
    """Return user, password, host, port and what follows the slash of ``[user[:password]@]host[:port]/…``."""
    user = password = port = None
    first, mark, rest_ = ("", "@", rest) if rest.startswith("[") else _until(rest, "@:/")
    if mark == ":":
        second, end, tail = _until(rest_, "@/")
        if end == "/":
            return None, None, first, second, tail
        user, password, rest_, mark = first, second, tail, end
    elif mark == "@" and not rest.startswith("["):
        user = first
    if mark == "@":
        if rest_.startswith("["):
            address, bracket, rest_ = rest_.partition("]")
            first = address + bracket
            nothing, mark, rest_ = _until(rest_, ":/")
            if nothing.startswith(","):
                first += nothing
            elif nothing:
                raise ValueError(f"{FORM}, got {nothing!r} after an IPv6 address")
        else:
            first, mark, rest_ = _until(rest_, ":/")
    if mark == ":":
        port, mark, rest_ = _until(rest_, "/")
    if mark != "/":
        raise ValueError(f"{FORM}, got no slash")
    return user, password, first, port, rest_


def _until(text: str, marks: str) -> tuple[str, str, str]:
    found = re.search(f"[{re.escape(marks)}]", text)
    if found is None:
        return text, "", ""
    return text[: found.start()], found[0], text[found.end() :]


def _parse_params(text: str) -> dict[str, Any]:
    params: dict[str, Any] = {}
    for part in text.split(";"):
        name, equals, raw = part.strip(" \t").partition("=")
        header = _HEADER.fullmatch(name)
        value = decoded(raw if header is None else template_text(raw))
        if name in _FLAGS and not equals:
            params[name] = True
        elif name == "tls_domain" and value:
            params["tls"] = True
        elif name in _TEXTS and value:
            params[name] = _short(name, value)
        elif name in _MOST and re.fullmatch("[0-9]{1,10}", value) and int(value) <= _MOST[name]:
            params[name] = int(value)
        elif header is not None and equals:
            params.setdefault("headers", {})[_short("the name of a header", decoded(header[1]))] = value
        else:
            raise ValueError(f"expected parameters of {_PARAMS}, got {part!r}")
    return params


def _braces(text: str) -> str:
    """Return the characters of parameters, which stay as they are in a text that has some."""
    return "{}" if "{" in text else ""


def _encode(text: str, safe: str = "", blank: str = " ") -> str:
    return encoded(text, blank + safe)
