"""The address of the interface, as `evframe_mi.server` expects a listener."""

from __future__ import annotations

import socket
from collections.abc import Callable

from evframe_http import Listener as HttpListener
from evframe_wire.endpoints import Access, parse_endpoint

from evframe_mi_http.options import Options


class Listener(HttpListener):
    """See `evframe_http.listener.Listener`.

    Args:
        options: where, and who may use a path.
        accepted: takes each connection.
        before: the listener that it takes the place of.

    Raises:
        OSError: if the address cannot be used.
    """

    def __init__(
        self, options: Options, accepted: Callable[[socket.socket], None], before: Listener | None = None
    ) -> None:
        target, option = parse_endpoint(options.bind), "plugins.mi-http.bind"
        super().__init__(target, accepted, before, option=option, access=access(options))

    def is_at(self, options: Options) -> bool:
        """See `evframe_mi.server.Listener`."""
        return self.bound.is_at(parse_endpoint(options.bind))

    def adopt(self, options: Options) -> None:
        """See `evframe_mi.server.Listener`."""
        self.bound.give(access(options))


def access(options: Options) -> Access:
    """Return who may use a path."""
    return Access.of(options.unix_socket_mode, options.unix_socket_user, options.unix_socket_group)
