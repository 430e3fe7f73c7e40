"""Which subscribers of a transport get CloudEvents, and the messages of a batch for these."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal, Protocol

from evframe_wire.patterns import fits_socket

from evframe_cloudevents.envelope import Attributes, BinaryMessage, Carried, Envelope, Raised
from evframe_cloudevents.plugin import NAME, CloudEventsPlugin

JSONRPC: Final = "jsonrpc"
Mode = Literal["structured", "binary", "batch"]
_MODES: Final[dict[str, Mode]] = {
    "cloudevents-structured": "structured",
    "cloudevents-binary": "binary",
    "cloudevents-batch": "batch",
}
STRUCTURED_TYPE: Final = "application/cloudevents+json; charset=UTF-8"
"""The content type of a structured CloudEvent."""
BATCH_TYPE: Final = "application/cloudevents-batch+json; charset=UTF-8"
"""The content type of several."""
DATA_TYPE: Final = "application/json"
"""The content type of the data of a binary CloudEvent."""
_MOST_KNOWN: Final = 10_000


class Rule(Protocol):
    """The format of some subscribers: a `FormatOptions`, or a `BinaryFormatOptions`."""

    @property
    def socket(self) -> str:
        """A pattern of canonical sockets."""

    @property
    def format(self) -> str:
        """Their format."""


class Batch(Protocol):
    """What is sent together: an `evframe.Batch`."""

    @property
    def events(self) -> Sequence[Any]:
        """The events."""

    @property
    def ids(self) -> Sequence[str] | None:
        """What names them; None when they end with the process."""


class Messages:
    """The CloudEvents of one batch.

    Args:
        envelope: makes them.
        batch: has the events.
        carried: the headers of the events.
    """

    def __init__(self, envelope: Envelope, batch: Batch, carried: Carried) -> None:
        self._envelope = envelope
        self.carried = carried
        """The headers of the events."""
        self._events: Sequence[Raised] = batch.events
        self._ids = batch.ids if batch.events else None

    def structured(self) -> list[bytes]:
        """Return each event in the JSON format."""
        return self._envelope.structured(self._events, self._ids, self.carried)

    def binary(self, names: Attributes) -> list[BinaryMessage]:
        """Return each event in the binary mode: its attributes, except its content type, `DATA_TYPE`, and its data."""
        return self._envelope.binary(names).messages(self._events, self._ids, self.carried)


class Formats:
    """The formats of the subscribers of one transport.

    Args:
        format_: what subscribers get that no rule matches.
        rules: the formats of some subscribers; the first whose pattern matches counts.
        is_binary: whether the format `cloudevents` is the binary mode.
    """

    def __init__(self, format_: str = JSONRPC, rules: Sequence[Rule] = (), *, is_binary: bool = False) -> None:
        self._format, self._rules, self._is_binary = format_, rules, is_binary
        self._known: dict[str, str] = {}
        self._context: Any = None
        self._own = Envelope()
        self.used = {format_, *(rule.format for rule in rules)}
        """The formats that a subscriber may have."""
        self.is_plain = self.used == {JSONRPC}
        """Whether every subscriber gets the notification of JSON-RPC."""

    def use(self, context: Any) -> None:
        """Use the options of the plugin `cloudevents`; *context* is that of the hook `loaded`."""
        self._context = context

    @property
    def envelope(self) -> Envelope:
        """What makes CloudEvents, with the present options."""
        return envelope_of(self._context) or self._own

    def of(self, canonical: str) -> str:
        """Return the format of the subscriber with this canonical socket."""
        if not self._rules:
            return self._format
        found = self._known.get(canonical)
        if found is None:
            matching = (rule.format for rule in self._rules if fits_socket(canonical, rule.socket))
            found = next(matching, self._format)
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            self._known[canonical] = found
        return found

    def mode_of(self, canonical: str) -> Mode | None:
        """Return how CloudEvents are sent to a subscriber; None for the notification of JSON-RPC."""
        format_ = self.of(canonical)
        if format_ == JSONRPC:
            return None
        return _MODES.get(format_) or ("binary" if self._is_binary else "structured")

    def messages(self, batch: Batch, carried: Sequence[Mapping[str, str] | None] | None = None) -> Messages:
        """Return the CloudEvents of *batch*.

        Args:
            batch: the events.
            carried: their headers; without it, those that the context has for them.
        """
        if carried is None and self._context is not None:
            carried = self._context.carried_by(batch.events)
        return Messages(self.envelope, batch, carried)

    def structured(self, canonical: str, batch: Batch) -> list[bytes] | None:
        """Return the CloudEvents of *batch* for a subscriber of a transport without headers; None for JSON-RPC."""
        if self.is_plain or self.of(canonical) == JSONRPC:
            return None
        return self.messages(batch).structured()


def envelope_of(context: Any) -> Envelope | None:
    """Return what the plugin `cloudevents` of an interface has; None without the plugin.

    Args:
        context: that of a plugin of the interface.
    """
    plugin = None if context is None else context.plugins.get_plugin(NAME)
    return plugin.envelope if isinstance(plugin, CloudEventsPlugin) else None
