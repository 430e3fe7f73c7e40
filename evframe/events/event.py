"""Events: the definition of an event, the registry of events, and one raised event."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from gc import is_tracked
from typing import Any, Final, Generic, Protocol, TypeVar

from evframe_declarations import Declaration, EventType, Parameter, params_of
from evframe_wire.encoding import is_shallow, settle_params
from evframe_wire.ids import number_of
from evframe_wire.payload import STRICT, Pairs, encode_text
from evframe_wire.reading import read
from evframe_wire.visible import brief
from orjson import dumps, loads

from evframe.exceptions import EventNameError, UnknownEventError

MAX_NAME_BYTES: Final = 64
_IN_PAYLOAD: Final = object()  # as orjson has written them, so that it reads the same ones
_RESTORED: Final = object()  # in a payload of any origin
Parameters = Mapping[str, Any] | Sequence[Any]


class Event:
    """One raised event: its name and parameters as they were at the raise.

    `EventDefinition.snapshot` makes it.
    *payload* is the JSON-RPC notification, encoded once however many subscribers share it;
    *raised_at* is on the monotonic clock, in seconds; *depth* says how many events were being
    handled when this one was raised.
    """

    __slots__ = ("_params", "definition", "depth", "number", "payload", "raised_at")

    definition: EventDefinition
    payload: bytes
    raised_at: float
    depth: int
    number: int
    """That of the event in its process, of which `evframe_wire.ids` makes the id; 0 until a transport needs one."""
    _params: Any
    carried: Mapping[str, str] | None = None
    """The headers that transports send with the event, such as `traceparent`; None while no plugin keeps contexts."""

    @property
    def since(self) -> float:
        """When the time for its delivery began: at the raise, or when it was handed over to another member."""
        return self.raised_at

    def handed_over(self, now: float) -> Event:
        """Return the same event for another member of a combined subscriber, with its full time from *now* on."""
        return _Copy(self, now, self.carried)

    def carrying(self, headers: Mapping[str, str]) -> Event:
        """Return the same event with the headers that transports send with it."""
        return _Copy(self, self.since, headers)

    @property
    def params(self) -> Any:
        """The parameters: a dict, a tuple, `Pairs`, or None when there are none.

        They are read from the payload at the first use; most transports never use them.
        """
        params = self._params
        if params is _IN_PAYLOAD or params is _RESTORED:
            params = (loads if params is _IN_PAYLOAD else read)(self.payload)["params"]
            if type(params) is list:
                params = tuple(params)
            self._params = params
        return params

    @property
    def name(self) -> str:
        """The event's registered name."""
        return self.definition.name

    @property
    def body(self) -> bytes | None:
        """The JSON text of the parameters; None when there are none."""
        definition = self.definition
        return None if self.payload is definition.bare else self.payload[definition._body_at : -1]  # noqa: SLF001 its own module's

    @property
    def pairs(self) -> tuple[tuple[str | None, Any], ...]:
        """The parameters in order, each with its name or None."""
        params = self.params
        if isinstance(params, Pairs):
            return params
        if isinstance(params, Mapping):
            return tuple(params.items())
        return tuple((None, value) for value in params or ())

    @property
    def values(self) -> tuple[Any, ...]:
        """The values in order."""
        return tuple(value for _, value in self.pairs)

    def get(self, key: str | int, default: Any = None) -> Any:
        """Return a parameter by name, or by its 1-based index; *default* when there is none."""
        params = self.params
        if type(params) is dict and type(key) is str:
            return params.get(key, default)
        if isinstance(key, int):
            values = self.values
            return values[key - 1] if 1 <= key <= len(values) else default
        return next((value for name, value in self.pairs if name == key), default)

    def __getitem__(self, key: str | int) -> Any:
        """Return a parameter by name, or by its 1-based index; LookupError when there is none."""
        value = self.get(key, self)
        if value is self:
            raise LookupError(f"event {self.name!r}: expected a parameter, got {key!r}")
        return value

    def __repr__(self) -> str:
        return f"Event({self.name!r}, {self.params!r})"


class _Copy(Event):
    """An event with its headers, and with another time from which its delivery counts.

    Other events have no place for these, so that an event that is not traced pays for none.
    """

    __slots__ = ("begun_at", "carried")

    def __init__(self, event: Event, begun_at: float, carried: Mapping[str, str] | None) -> None:
        self.definition, self.raised_at, self.depth = event.definition, event.raised_at, event.depth
        self.payload, self._params, self.number = event.payload, event._params, number_of(event)  # noqa: SLF001 its own module's
        self.begun_at, self.carried = begun_at, carried

    @property
    def since(self) -> float:
        return self.begun_at


class Tracing(Protocol):
    """Keeps the context in which an event is raised with the event. Its methods do not raise errors."""

    def keep(self, event: Event) -> Event:
        """Return *event*, which is raised now, with its headers, printable ASCII; called on its thread."""

    def within(self, headers: Mapping[str, Any] | None) -> AbstractContextManager[Any]:
        """Return what runs a block in the context that *headers* name, and in none where they name none.

        Args:
            headers: of an event, or of a message from anywhere, whatever these are.
        """


class EventDefinition:
    """A registered event: its id, its name, and its declared parameters."""

    __slots__ = ("_body_at", "_flat", "bare", "declaration", "enforced", "head", "id", "name", "raised", "reads_params")

    def __init__(self, event_id: int, name: str, declaration: Declaration | None = None) -> None:
        self.id = event_id
        self.name = name
        self.declare(declaration)
        self.raised = 0
        self.reads_params = False  # whether a target reads the parameters, and not only the payload
        start = b'{"jsonrpc":"2.0","method":' + encode_text(name)
        self.bare = start + b"}"
        self.head = start + b',"params":'
        self._body_at = len(self.head)

    def declare(self, declaration: Declaration | None) -> None:
        """Set the declaration of a source of this event; None when the source has none."""
        self.declaration = declaration
        # The declaration when a raise has to fit it.
        self.enforced = declaration if declaration is not None and declaration.enforced else None
        self._flat = not any(each.type in {list, dict} for each in (self.params or {}).values())

    def restored(self, payload: bytes, raised_at: float) -> Event:
        """Return an event that was raised before, of its *payload*; see `Event` for *raised_at*."""
        event = Event()
        event.definition, event.payload, event.raised_at = self, payload, raised_at
        event.depth, event.number, event._params = 0, 0, None if payload == self.bare else _RESTORED  # noqa: SLF001 its own module's
        return event

    def differs_from(self, other: EventDefinition) -> bool:
        """Return whether *other* has another declaration of this event, or enforces the declaration differently."""
        return self.declaration != other.declaration or self.enforced != other.enforced

    @property
    def is_meta(self) -> bool:
        """Whether deliveries of the event never trigger `delivery_changed`, so that the event cannot cause itself."""
        return self.declaration is not None and self.declaration.is_meta

    @property
    def params(self) -> Mapping[str, Parameter] | None:
        """The declared parameters in order; None when nothing is declared."""
        return None if self.declaration is None else self.declaration.params

    def snapshot(self, params: Any, raised_at: float, depth: int = 0) -> Event:
        """Return the occurrence of this event with *params* as they are now.

        Raises:
            ParameterError: if the parameters break the declaration or have no JSON form.
        """
        enforced = self.enforced
        kind = type(params)
        if enforced is None:
            is_flat = kind is dict and not is_tracked(params)  # a dict with containers is tracked by the collector
        elif is_flat := enforced.fits(params):  # a dict
            is_flat = self._flat or not is_tracked(params)
        else:
            enforced.check(params)
        payload = None
        try:
            if not params:
                kept, payload = None, self.bare
            elif is_flat or ((kind is dict or kind is list or kind is tuple) and is_shallow(params)):
                # Copy the encoder's bytes, because the original stays in a block as large as the encoder's buffer.
                payload = self.head + dumps(params, None, STRICT) + b"}"
                kept = params.copy() if is_flat and self.reads_params else _IN_PAYLOAD
        except Exception:  # noqa: BLE001, S110 the slow way below encodes the parameters, or names the wrong one
            pass
        if payload is None:
            kept, body = settle_params(self.name, params)
            payload = self.head + body + b"}"
        event = Event()  # without an `__init__`, whose call would take as long as these lines
        event.definition = self
        event.payload = payload
        event.raised_at = raised_at
        event.depth, event.number = depth, 0
        event._params = kept  # noqa: SLF001 its own module's
        return event

    def snapshot_of(self, typed: EventType, raised_at: float, depth: int = 0) -> Event:
        """Return the occurrence that *typed* is, as `snapshot` does for its parameters."""
        enforced = self.enforced
        if enforced is None or enforced.event_type is not type(typed) or (body := enforced.body(typed)) is None:
            return EventDefinition.snapshot(self, params_of(typed), raised_at, depth)
        event = Event()
        event.definition = self
        event.payload = self.head + body + b"}"
        event.raised_at = raised_at
        event.depth, event.number = depth, 0
        event._params = params_of(typed) if self.reads_params else _IN_PAYLOAD  # noqa: SLF001 its own module's
        return event


def check_name(name: str) -> None:
    """Raise EventNameError unless *name* has 1 to 64 bytes."""
    if not isinstance(name, str) or not name:
        raise EventNameError(f"expected an event name of 1 to {MAX_NAME_BYTES} bytes, got {brief(name)}")
    try:
        size = len(name.encode("utf-8", "surrogateescape"))
    except UnicodeEncodeError:
        raise EventNameError(f"expected an event name that is text, got {brief(name)}") from None
    if size > MAX_NAME_BYTES:
        raise EventNameError(f"expected an event name of at most {MAX_NAME_BYTES} bytes, got {brief(name)}")


Definition = TypeVar("Definition", bound=EventDefinition)


class EventRegistry(Generic[Definition]):
    """The events in the order they were registered; an id is never used twice.

    Args:
        make: makes a definition of an id and a name.
    """

    def __init__(self, make: Callable[[int, str], Definition] = EventDefinition) -> None:  # type: ignore[assignment]
        self._make = make
        self.by_name: dict[str, Definition] = {}
        self.on_new: list[Callable[[Definition], None]] = []

    def register(self, name: str, declaration: Declaration | None = None) -> Definition:
        """Register *name* and return its definition; a known name keeps its id, and its declaration if it has one.

        When one source of an event does not enforce its declaration, the declaration is enforced for no
        source, in whatever order they register the event.

        Raises:
            EventNameError: if the name is empty or longer than 64 bytes.
        """
        check_name(name)
        known = self.by_name.get(name)
        if known is None:
            known = self.by_name[name] = self._make(len(self.by_name), name)
            for callback in self.on_new:
                callback(known)
        if known.declaration is None and declaration is not None:
            known.declare(declaration)
        elif declaration is not None and not declaration.enforced:
            known.enforced = None
        return known

    def __getitem__(self, name: str) -> Definition:
        try:
            return self.by_name[name]
        except Exception:  # noqa: BLE001 a list has no hash, and the hash of an instance is of its values
            raise UnknownEventError(name) from None

    def __iter__(self) -> Iterator[Definition]:
        return iter(self.by_name.values())
