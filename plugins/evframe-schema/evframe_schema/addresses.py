"""Servers and channels of AsyncAPI, from the canonical texts of sockets, which have no secrets."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final
from urllib.parse import unquote

import attrs
from evframe_cloudevents import Mode
from evframe_options import Filled
from evframe_wire.masking import MASK

import evframe
from evframe.plugin import leaves, shown_option

_UNFIT: Final = re.compile(r"[^A-Za-z0-9_.-]")
_PROTOCOLS: Final = {"mqtts": "secure-mqtt", "rabbitmq": "amqp", "xmlrpc": "http", "xmlrpcs": "https"}
ANY: Final = "any"
"""The protocol where it is not known."""
_XML: Final = {"xmlrpc", "xmlrpcs"}
LOCAL: Final = {"flatstore", "route"}
"""Schemes whose events stay on the machine, in files and callables, which AsyncAPI does not describe."""
_BRACES: Final = re.compile(r"\$?\{([^{}]*)\}")
_AMQP: Final = "0.3.0"
_KAFKA: Final = "0.5.0"


@attrs.frozen
class Place:
    """Where events are sent."""

    canonical: str
    """The text of the socket in listings."""
    protocol: str
    host: str
    """A host with its port, hosts, or the path of a UNIX socket or a file."""
    pathname: str = ""
    channel: Mapping[str, Any] = attrs.field(factory=dict)
    """The bindings of a channel whose events are sent there."""
    cloud_events: Mode | None = None
    """How events are sent there as CloudEvents; None for notifications of JSON-RPC."""

    @property
    def is_xml(self) -> bool:
        """Whether an event is sent as a call of XML-RPC."""
        return self.canonical.partition(":")[0] in _XML

    def server(self) -> dict[str, Any]:
        """Return the Server Object; a reference to a secret is a variable of it."""
        variables: dict[str, Any] = {}

        def variable(found: re.Match[str]) -> str:
            name = _UNFIT.sub("_", found[1])
            variables[name] = {"description": f"`{found[0]}` in the configuration."}
            return f"{{{name}}}"

        host, pathname = _BRACES.sub(variable, self.host), _BRACES.sub(variable, self.pathname)
        about = f"A subscriber of the configuration, `{self.canonical}`."
        server: dict[str, Any] = {"host": host, "protocol": self.protocol, "description": about}
        server |= {"pathname": pathname} if pathname else {}
        return server | ({"variables": variables} if variables else {})


def canonical_texts(interface: evframe.EventInterface, text: str) -> list[str]:
    """Return the texts in listings of a configured socket, or of its members; no value of a reference is read.

    Raises:
        SocketError: if it cannot be used.
    """

    def show(marked: str) -> str:
        return "\n".join(leaf.canonical for leaf in leaves(interface.parse_socket(marked).socket))

    shown = shown_option(Filled(text, text) if "${" in text else text, show)
    return [f"{text.partition(':')[0]}:{shown}"] if shown == MASK else shown.splitlines()


def place_of(canonical: str) -> Place:
    """Return where the socket with this canonical text is; nothing but the text is read, so that no secret is."""
    if canonical.startswith("${"):
        return Place(canonical, ANY, canonical)
    scheme, _, rest = canonical.partition(":")
    known = {
        "rabbitmq": _rabbitmq,
        "kafka": _kafka,
        "xmlrpc": _xmlrpc,
        "xmlrpcs": _xmlrpc,
        "tcp": _tcp,
        "http": _web,
        "https": _web,
        "redis": _web,
        "rediss": _web,
        "sqs": _sqs,
        "mqtt": _named,
        "mqtts": _named,
        "nats": _named,
        "syslog": _syslog,
    }.get(scheme)
    protocol = _PROTOCOLS.get(scheme, scheme)
    if known is None:
        return Place(canonical, protocol, rest)
    return Place(canonical, protocol, **known(rest))


def _rabbitmq(rest: str) -> dict[str, Any]:
    """Split ``user@hosts/param;param?key``."""
    authority, _, target = rest.partition("/")
    params, mark, key = target.partition("?")
    if not mark:
        params, key = "", unquote(params)
    named = dict(param.partition("=")[::2] for param in params.split(";") if param)
    vhost, exchange = unquote(named.get("vhost", "/")), unquote(named.get("exchange", ""))
    if exchange:
        bindings = {"is": "routingKey", "exchange": {"name": exchange, "vhost": vhost}}
    else:  # the default exchange sends to the queue that the key names
        bindings = {"is": "queue", "queue": {"name": key, "vhost": vhost}}
    path = "" if vhost == "/" else f"/{vhost}"
    hosts = authority.rpartition("@")[2]
    return {"host": hosts, "pathname": path, "channel": {"amqp": bindings | {"bindingVersion": _AMQP}}}


def _kafka(rest: str) -> dict[str, Any]:
    """Split ``brokers/topic?key=…``."""
    brokers, _, target = rest.partition("/")
    found = {"topic": target.partition("?")[0], "bindingVersion": _KAFKA}
    return {"host": brokers, "channel": {"kafka": found}}


def _tcp(rest: str) -> dict[str, Any]:
    """Split ``host:port/method``."""
    return {"host": rest.partition("/")[0]}


def _web(rest: str) -> dict[str, Any]:
    """Split ``//user@host:port/path?query``; the user and the query are left out."""
    host, slash, path = rest.removeprefix("//").partition("?")[0].partition("/")
    return {"host": host.rpartition("@")[2], "pathname": slash + path}


def _sqs(rest: str) -> dict[str, Any]:
    """Split ``https://host:port/account/queue``."""
    return _web(rest.partition(":")[2])


def _named(rest: str) -> dict[str, Any]:
    """Split ``//user@hosts/name?parameters``, where the name is that of a topic or a subject."""
    return {"host": _web(rest)["host"]}


def _syslog(rest: str) -> dict[str, Any]:
    """Split ``way:host:port``, or ``unix:path``."""
    return {"host": rest.partition(":")[2]}


def _xmlrpc(rest: str) -> dict[str, Any]:
    """Split ``host:port[/path]:method``."""
    address, _, _ = rest.rpartition(":")
    host, slash, path = address.partition("/")
    return {"host": host, "pathname": slash + path}


def keys_for(names: Iterable[str]) -> dict[str, str]:
    """Return a key of Components for each of *names*: letters, digits, dots, hyphens and underscores."""
    found: dict[str, str] = {}
    numbers: dict[str, int] = {}  # by the keys that are taken: the number of the last name that would have the same
    for name in names:
        key = first = _UNFIT.sub("_", name)
        while key in numbers:
            numbers[first] += 1
            key = f"{first}_{numbers[first]}"
        numbers[key] = 1
        found[name] = key
    return found
