"""What a gateway listens at, as servers of AsyncAPI: management interfaces, and the places where streams are opened."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

import attrs
from evframe_options.describing import options_of
from evframe_options.installed import Installed

import evframe

_BEARER: Final = {"type": "http", "scheme": "bearer"}
_BASIC: Final = {"type": "http", "scheme": "basic"}


@attrs.frozen
class ListeningServer:
    """An address that clients connect to."""

    protocol: str
    host: str
    pathname: str = ""
    security: Mapping[str, Any] = attrs.field(factory=dict)
    """The schemes of which each request has to bring one, by name; never a secret itself."""
    name: str = ""
    """Of the plugin."""
    about: str = ""

    def server(self) -> dict[str, Any]:
        """Return the Server Object."""
        found: dict[str, Any] = {"host": self.host, "protocol": self.protocol}
        found |= {"pathname": self.pathname} if self.pathname else {}
        found["description"] = self.about
        if self.security:
            found["security"] = [{"$ref": f"#/components/securitySchemes/{key}"} for key in self.security]
        return found


_Make = Callable[[Mapping[str, Any]], "ListeningServer | None"]


def management_servers(config: evframe.Config | None, plugins: Sequence[Installed]) -> Iterator[ListeningServer]:
    """Yield the management interfaces that a gateway with this configuration opens."""
    return _servers(config, plugins, _MANAGEMENT, "The management interface `{}`.")


def stream_servers(config: evframe.Config | None, plugins: Sequence[Installed]) -> Iterator[ListeningServer]:
    """Yield where clients subscribe by opening a stream."""
    return _servers(config, plugins, _STREAMS, "Where a client subscribes by opening a stream, of the plugin `{}`.")


def _servers(
    config: evframe.Config | None, plugins: Sequence[Installed], makers: Mapping[str, _Make], about: str
) -> Iterator[ListeningServer]:
    tables, disabled = ({}, []) if config is None else (config.plugins, config.disable)
    for plugin in plugins:
        make = makers.get(plugin.name)
        if make is None or plugin.options is None or plugin.name in disabled:
            continue
        options = {option.name: option.default for option in options_of(plugin.options)} | tables.get(plugin.name, {})
        made = make(options)
        if made is not None:
            yield attrs.evolve(made, name=plugin.name, about=about.format(plugin.name))


def _http(options: Mapping[str, Any]) -> ListeningServer:
    security = _token(options)
    if options["auth_username"]:
        security["password"] = _BASIC
    protocol = "https" if options["tls_cert_file"] else "http"
    return ListeningServer(protocol, options["bind"], options["path"], security)


def _datagram(options: Mapping[str, Any]) -> ListeningServer | None:
    name = options["socket_name"]
    if name is None:
        return None
    return ListeningServer("udp" if name.startswith("udp:") else "unix", name.removeprefix("udp:"))


def _fifo(options: Mapping[str, Any]) -> ListeningServer | None:
    return None if options["fifo_name"] is None else ListeningServer("fifo", options["fifo_name"])


def _stream(protocol: str) -> _Make:
    def made(options: Mapping[str, Any]) -> ListeningServer | None:
        if options["bind"] is None:
            return None
        secured = f"{protocol}s" if options["tls_cert_file"] else protocol
        return ListeningServer(secured, options["bind"], options["path"], _token(options))

    return made


def _token(options: Mapping[str, Any]) -> dict[str, Any]:
    return {"token": _BEARER} if options["token_file"] or options["token"] else {}


_MANAGEMENT: Final[Mapping[str, _Make]] = {
    "mi-http": _http,
    "mi-datagram": _datagram,
    "mi-fifo": _fifo,
    "websocket": _stream("ws"),
}
_STREAMS: Final[Mapping[str, _Make]] = {"sse": _stream("http"), "websocket": _stream("ws")}
