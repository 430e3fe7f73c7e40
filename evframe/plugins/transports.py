"""Finds the plugin that owns a socket, and the shortest way to its `deliver`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, cast

import attrs
from attrs import evolve
from evframe_wire.masking import MASK, masked_socket
from evframe_wire.visible import brief, visible

from evframe.calls import foreign_call
from evframe.delivery.members import Address
from evframe.delivery.sockets import Socket, split_socket
from evframe.exceptions import PluginError, SocketError
from evframe.plugins.manager import PluginManager, is_wrapper, limits_of
from evframe.subscriptions.references import FORMS, Template, Values, has_reference, renamed
from evframe.subscriptions.urls import OWN_FORM, is_url, place_of, sockets_for

if TYPE_CHECKING:
    from evframe.delivery.batch import Batch

Deliver = Callable[[Socket, "Batch"], Awaitable[None] | bool]


class Transport:
    """One plugin that parses and delivers, with the hook wrappers that others put round it.

    When a plugin is exchanged for another one of the same name, its `Transport` stays.
    """

    deliver: Deliver
    parse: Callable[..., Socket | None]
    unsubscribed: Callable[..., Any]

    def __init__(self, manager: PluginManager, name: str, plugin: Any) -> None:
        self.name = name
        self.plugin = plugin
        self.resolve(manager)

    def resolve(self, manager: PluginManager) -> None:
        """Find the functions of the plugin again, after a plugin was added or removed."""
        self.limits = limits_of(self.name, self.plugin)
        self.parse = manager.wrapped_hook("on_subscribe", self.plugin)
        self.unsubscribed = manager.wrapped_hook("unsubscribed", self.plugin)
        caller, is_alone = manager.hook_of("deliver", self.plugin)
        if not is_alone:  # `at_once` is a promise about the transport's code alone, not about that of wrappers
            self.limits = attrs.evolve(self.limits, at_once=False)
        if is_alone and (implementation := caller.get_hookimpls()[0]).argnames == ("socket", "batch"):
            # A hook call costs as much as sending a datagram; without wrappers, call the function directly.
            self.deliver = cast(Deliver, implementation.function)
        else:
            self.deliver = lambda socket, batch: caller(socket=socket, batch=batch)


def _check_canonical(where: str, scheme: str, parsed: Socket, canonical: object) -> None:
    """Refuse a value that is no socket, or a socket whose canonical text has another scheme.

    Raises:
        PluginError: with *where*, the plugin and the hook.
    """
    if not isinstance(canonical, str):
        raise PluginError(f"{where}: expected a canonical text, got {parsed!r}")
    if canonical.partition(":")[0] != scheme:
        raise PluginError(f"{where}: expected a socket of {scheme!r}, got {brief(canonical)}")


class Transports:
    """The transports among the plugins of a manager.

    Args:
        manager: of the plugins.
        explain: returns why no plugin has a scheme; called with the scheme and all known schemes.
    """

    def __init__(self, manager: PluginManager, explain: Callable[[str, Sequence[str]], str]) -> None:
        self._manager = manager
        self._explain = explain
        self._by_name: dict[str, Transport] = {}
        self._by_scheme: dict[str, Transport] = {}
        self._is_configured = False
        self.values = Values()
        """The values of references in configured sockets."""
        self.keeps: Callable[[str], bool] = lambda canonical: False  # noqa: ARG005
        """Returns whether the configuration keeps the events for a canonical socket on disk: a peer may lack then."""
        self.resolve()

    def resolve(self) -> None:
        """Find the transports again, after a plugin was added or removed; a transport keeps its place by its name."""
        self._by_scheme.clear()
        plugins = {
            self._manager.get_name(implementation.plugin) or repr(implementation.plugin): implementation.plugin
            for implementation in self._manager.hook.on_subscribe.get_hookimpls()
            if not is_wrapper(implementation)
        }
        for name in self._by_name.keys() - plugins.keys():
            del self._by_name[name]
        for name, plugin in plugins.items():
            known = self._by_name.get(name)
            if known is None:
                self._by_name[name] = Transport(self._manager, name, plugin)
            else:
                known.plugin = plugin
                known.resolve(self._manager)

    def get(self, name: str) -> Transport | None:
        """Return the transport of the plugin called *name*, or None."""
        return self._by_name.get(name)

    def parse(self, text: str, *, configured: bool = False) -> Address:
        """Return the socket of *text*, with the transport that owns it.

        Args:
            text: of the socket.
            configured: whether *text* comes from the configuration, where the text, and the members that its
                transport parses, may have references to secrets.

        Raises:
            SocketError: if no transport has the scheme, the transport refuses the text, or a secret is missing.
        """
        if not isinstance(text, str) or "${" not in text:
            return self._parse(text)
        if configured or self._is_configured:
            return self._parse_configured(text)
        if has_reference(text):
            raise SocketError(text, f"expected {FORMS} in the configuration alone")
        return self._parse(text)

    def _parse_configured(self, text: str) -> Address:
        """Return the socket of a text with references; listings show the references instead of their values."""
        was, self._is_configured = self._is_configured, True
        try:
            template = Template(text, self.values)
            address = self._parse(text, template)
        except SocketError:
            raise
        except ValueError as error:
            raise SocketError(text, str(error)) from None
        finally:
            self._is_configured = was
        if not template.references or cast(Transport, address.transport).limits.has_members:
            return address
        return evolve(address, socket=renamed(address.socket, self._shown(template, address)))

    def _parse(self, text: str, template: Template | None = None) -> Address:
        try:
            return self._parse_socket(text, template)
        except SocketError as error:
            if not is_url(text):
                raise
            raise self._meant(text) or error from None

    def _meant(self, url: str) -> SocketError | None:
        """Return the error that suggests the socket for *url*, without its secrets; None without a suggestion."""
        scheme = url.partition(":")[0].lower()
        transports = self._by_name.values()
        own = [OWN_FORM for each in transports if scheme in getattr(each.plugin, "schemes", ())]
        others = [form for each in transports if not own for form in each.limits.url_forms.get(scheme, ())]
        for socket in sockets_for(url, own + others):
            with suppress(SocketError, PluginError):
                canonical = self._parse_socket(socket).socket.canonical
                if MASK in canonical:  # the mask hides more than the password
                    return SocketError(f"{scheme}://{MASK}", f"expected '{canonical}', got a URL")
                # The text and not its repr, because the mask replaces the password as it is in the URL.
                return SocketError(url, f"expected '{socket}', got a URL")
        for nearest in sockets_for(place_of(url), others):
            return SocketError(f"{scheme}://{MASK}", f"expected '{nearest}', got a URL")
        return None

    def _parse_socket(self, text: str, template: Template | None = None) -> Address:
        scheme, rest = split_socket(text)
        known = self._by_scheme.get(scheme)
        for transport in list(self._by_name.values()) if known is None else (known,):
            is_filled = template is not None and not transport.limits.has_members
            encodes = transport.limits.percent_safe
            filled = template.filled(encodes).partition(":")[2] if template and is_filled else rest
            where = f"plugin {transport.name!r}, hook 'on_subscribe'"
            try:
                with foreign_call(where):
                    parsed = transport.parse(scheme=scheme, rest=filled)
                    canonical = None if parsed is None else getattr(parsed, "canonical", None)
            except ValueError as error:
                if template is not None and is_filled:
                    raise SocketError(text, self._problem(template)) from None
                if isinstance(error, SocketError):
                    raise
                raise SocketError(text, str(error)) from None
            except PluginError:
                raise
            except Exception as error:  # noqa: BLE001 any error of a plugin
                # What the hook got has the secrets of the socket, and so may the text of the error.
                kind = type(error).__name__
                said = kind if is_filled else masked_socket(text, f"{kind}: {error}")[1]
                raise PluginError(f"{where}: {visible(said)}") from None
            if parsed is not None:
                _check_canonical(where, scheme, parsed, canonical)
                if "\t" in parsed.canonical:
                    raise SocketError(text, "expected text without tabs, but for those between members")
                self._by_scheme[scheme] = transport
                return Address(parsed, transport, text)
        schemes = sorted({name for each in self._by_name.values() for name in getattr(each.plugin, "schemes", ())})
        known_ones, why = ", ".join(schemes) or "a loaded plugin", self._explain(scheme, schemes)
        raise SocketError(text, f"expected a scheme of {known_ones}, got {brief(scheme)}, {why}")

    def _shown(self, template: Template, address: Address) -> str:
        """Return the canonical text with the references in place of their values.

        Raises:
            SocketError: if a value makes a parameter of the event.
        """
        socket = self._parse_marked(template)
        if isinstance(socket, SocketError):
            return SocketError(template.text, "").socket  # the form of the rest depends on a value
        if getattr(socket, "parameters", ()) != getattr(address.socket, "parameters", ()):
            raise SocketError(
                template.text, f"expected a value without braces from {' and '.join(template.references)}"
            )
        return template.unmarked(socket.canonical)

    def _problem(self, template: Template) -> str:
        """Return why a transport refuses a text with the values of references, without these values."""
        found = self._parse_marked(template)
        if isinstance(found, SocketError):
            return template.unmarked(found.problem)
        return f"expected a value that fits its place from {' and '.join(template.references)}"

    def _parse_marked(self, template: Template) -> Socket | SocketError:
        """Return the socket with marks in place of the values, or the first error when no kind of mark fits."""
        first: SocketError | None = None
        for marked in template.marked():
            try:
                return self._parse(marked).socket
            except SocketError as error:
                first = first or error
        assert first is not None
        return first
