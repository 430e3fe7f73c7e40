"""Which plugin owns a socket, and the shortest way to its `deliver`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, cast

import pluggy

from evframe.exceptions import PluginError, SocketError
from evframe.sockets import Socket, split_socket
from evframe.subscribers import BATCH_EVENTS

if TYPE_CHECKING:
    from evframe.batch import Batch

Deliver = Callable[[Socket, "Batch"], Awaitable[None] | bool]


def is_wrapper(implementation: pluggy.HookImpl) -> bool:
    """Return whether a hook implementation wraps those of other plugins."""
    return bool(implementation.wrapper or implementation.hookwrapper)


def hook_caller(manager: pluggy.PluginManager, hook: str, plugin: Any) -> pluggy.HookCaller:
    """Return *hook* of one plugin, with the wrappers that others put round it."""
    others = {
        implementation.plugin
        for implementation in getattr(manager.hook, hook).get_hookimpls()
        if implementation.plugin is not plugin and not is_wrapper(implementation)
    }
    return manager.subset_hook_caller(hook, others)


class Transport:
    """One plugin that parses and delivers, with the hook wrappers that others put round it."""

    __slots__ = ("batch_events", "deliver", "in_flight", "name", "parse", "plugin", "reads_params", "unsubscribed")

    deliver: Deliver
    parse: Callable[..., Socket | None]
    unsubscribed: Callable[..., Any]

    def __init__(self, manager: pluggy.PluginManager, plugin: Any) -> None:
        self.plugin = plugin
        self.name: str = manager.get_name(plugin) or repr(plugin)
        self.batch_events: int = getattr(plugin, "batch_events", BATCH_EVENTS)
        self.in_flight: int = getattr(plugin, "in_flight", 0)
        self.reads_params: bool = getattr(plugin, "reads_params", False)
        self.resolve(manager)

    def resolve(self, manager: pluggy.PluginManager) -> None:
        """Find the calls again, after a plugin came or went."""
        self.parse = hook_caller(manager, "on_subscribe", self.plugin)
        self.unsubscribed = hook_caller(manager, "unsubscribed", self.plugin)
        called = hook_caller(manager, "deliver", self.plugin)
        implementations = called.get_hookimpls()
        if len(implementations) == 1 and implementations[0].argnames == ("socket", "batch"):
            # One hook call costs as much as sending a datagram; with nobody else in it, it is left out.
            self.deliver = cast(Deliver, implementations[0].function)
        else:
            self.deliver = lambda socket, batch: called(socket=socket, batch=batch)


class Transports:
    """The transports among the plugins of a manager."""

    def __init__(self, manager: pluggy.PluginManager) -> None:
        self._manager = manager
        self._by_plugin: dict[int, Transport] = {}
        self._by_scheme: dict[str, Transport] = {}
        self.resolve()

    def resolve(self) -> None:
        """Look at the plugins again, after one came or went."""
        self._by_scheme.clear()
        plugins = {
            id(implementation.plugin): implementation.plugin
            for implementation in self._manager.hook.on_subscribe.get_hookimpls()
            if not is_wrapper(implementation)
        }
        for key in self._by_plugin.keys() - plugins.keys():
            del self._by_plugin[key]
        for key, plugin in plugins.items():
            known = self._by_plugin.get(key)
            if known is None:
                self._by_plugin[key] = Transport(self._manager, plugin)
            else:
                known.resolve(self._manager)

    def parse(self, text: str) -> tuple[Socket, Transport]:
        """Return the socket of *text* and the transport that owns it.

        Raises:
            SocketError: if no transport knows the scheme, or its transport refuses the text.
        """
        scheme, rest = split_socket(text)
        known = self._by_scheme.get(scheme)
        for transport in list(self._by_plugin.values()) if known is None else (known,):
            try:
                parsed = transport.parse(scheme=scheme, rest=rest)
            except SocketError:
                raise
            except ValueError as error:
                raise SocketError(text, str(error)) from None
            if parsed is not None:
                if not isinstance(getattr(parsed, "canonical", None), str):
                    raise PluginError(
                        f"plugin {transport.name!r}, hook 'on_subscribe': expected a socket, got {parsed!r}"
                    )
                self._by_scheme[scheme] = transport
                return parsed, transport
        raise SocketError(text, f"no loaded plugin has the scheme {scheme!r}")
