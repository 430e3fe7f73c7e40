"""Events: the declaration of each, their registry, and one raised occurrence."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from orjson import dumps, loads

from evframe.declarations import Declaration, Parameter
from evframe.exceptions import EventNameError, ParameterError, UnknownEventError
from evframe.payload import STRICT, Pairs, encode_params, encode_text

if TYPE_CHECKING:
    from evframe.subscribers import Subscriber, Subscription

MAX_NAME_BYTES: Final = 64
_BRACKET: Final = ord("[")
_IN_PAYLOAD: Final = object()
Parameters = Mapping[str, Any] | Sequence[Any]


class Event:
    """One raised event: its name and parameters as they were at the raise.

    *payload* is the JSON-RPC notification, encoded once however many subscribers share it;
    *raised_at* is on the monotonic clock, in seconds; *depth* says how many events were being
    handled when this one was raised.
    """

    __slots__ = ("_params", "definition", "depth", "payload", "raised_at")

    def __init__(self, definition: EventDefinition, params: Any, payload: bytes, raised_at: float, depth: int) -> None:
        self.definition = definition
        self._params = params
        self.payload = payload
        self.raised_at = raised_at
        self.depth = depth

    @property
    def params(self) -> Any:
        """The parameters: a dict, a tuple, `Pairs`, or None when there are none.

        They are read from the payload at the first use, which most transports never make.
        """
        params = self._params
        if params is _IN_PAYLOAD:
            params = loads(self.payload)["params"]
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


def _frozen(value: Any) -> Any:
    """Return a copy of *value* that later changes to its containers do not reach."""
    if isinstance(value, Mapping):
        return {name: _frozen(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_frozen(item) for item in value]
    if isinstance(value, tuple):
        return type(value)(_frozen(item) for item in value) if type(value) in {tuple, Pairs} else value
    return bytes(value) if isinstance(value, bytearray) else value


class EventDefinition:
    """A registered event: its id, its name, its declared parameters and who gets it."""

    __slots__ = (
        "_body_at",
        "_targets",
        "bare",
        "declaration",
        "enforced",
        "head",
        "id",
        "leases",
        "listeners",
        "name",
        "raised",
        "reads_params",
    )

    def __init__(self, event_id: int, name: str, declaration: Declaration | None = None) -> None:
        self.id = event_id
        self.name = name
        self.declaration: Declaration | None = None
        self.enforced: Declaration | None = None  # the declaration when a raise has to fit it
        if declaration is not None:
            self.declare(declaration)
        self.raised = 0
        self.leases: dict[Subscriber, Subscription] = {}  # oldest first
        self.listeners: tuple[Subscriber, ...] = ()
        self._targets: tuple[Subscriber, ...] | None = ()
        self.reads_params = False  # whether a target has use for the parameters themselves
        start = b'{"jsonrpc":"2.0","method":' + encode_text(name)
        self.bare = start + b"}"
        self.head = start + b',"params":'
        self._body_at = len(self.head)

    def declare(self, declaration: Declaration | None) -> None:
        """Take what a source says of this event; None for nothing."""
        self.declaration = declaration
        self.enforced = declaration if declaration is not None and declaration.enforced else None

    def says_another_than(self, other: EventDefinition) -> bool:
        """Return whether an event of this name is declared otherwise in *other*, or enforced otherwise."""
        return self.declaration != other.declaration or self.enforced != other.enforced

    @property
    def quiet(self) -> bool:
        """Whether it tells about deliveries, so that its own are not told about."""
        return self.declaration is not None and self.declaration.quiet

    @property
    def params(self) -> Mapping[str, Parameter] | None:
        """The declared parameters in order; None when nothing is declared."""
        return None if self.declaration is None else self.declaration.params

    @property
    def targets(self) -> tuple[Subscriber, ...]:
        """Who gets this event, the newest first."""
        targets = self._targets
        if targets is None:
            targets = self._targets = (*reversed(self.leases), *self.listeners)
            self.reads_params = any(subscriber.transport.reads_params for subscriber in targets)
        return targets

    def changed(self) -> None:
        """Take note that the leases or the listeners are not what they were."""
        self._targets = None

    def snapshot(self, params: Any, raised_at: float, depth: int = 0) -> Event:
        """Return the occurrence of this event with *params* as they are now.

        Raises:
            ParameterError: if the parameters break the declaration or have no JSON form.
        """
        if self.enforced is not None:
            self.enforced.check(params)
        if not params:
            return Event(self, None, self.bare, raised_at, depth)
        kind = type(params)
        if kind is dict or kind is list or kind is tuple:
            try:
                # The encoder's own bytes stay in a block as large as its buffer: they are not kept.
                payload = self.head + dumps(params, None, STRICT) + b"}"
            except TypeError:
                pass  # what only the careful way can encode, or name
            else:
                if not self.reads_params or kind is not dict:
                    return Event(self, _IN_PAYLOAD, payload, raised_at, depth)
                # A bracket further in may be a container, which could change after the raise.
                nested = _BRACKET in payload or payload.rfind(b"{") > self._body_at
                return Event(self, _IN_PAYLOAD if nested else params.copy(), payload, raised_at, depth)
        copy = _frozen(self._plain(params))
        return Event(self, copy, self.head + encode_params(self.name, copy) + b"}", raised_at, depth)

    def _plain(self, params: Any) -> Any:
        """Return a copy of *params* as a dict, a tuple or pairs."""
        if isinstance(params, Mapping):
            return dict(params)
        if isinstance(params, Pairs):
            return params
        if isinstance(params, Sequence) and not isinstance(params, str | bytes | bytearray):
            return tuple(params)
        raise ParameterError(self.name, "params", f"expected a mapping or a sequence of values, got {params!r}")


def check_name(name: str) -> None:
    """Raise EventNameError unless *name* has 1 to 64 bytes (`reference/core.md` §1)."""
    if not isinstance(name, str) or not name:
        raise EventNameError(f"expected an event name of 1 to {MAX_NAME_BYTES} bytes, got {name!r}")
    try:
        size = len(name.encode("utf-8", "surrogateescape"))
    except UnicodeEncodeError:
        raise EventNameError(f"expected an event name that is text, got {name!r}") from None
    if size > MAX_NAME_BYTES:
        raise EventNameError(f"expected an event name of at most {MAX_NAME_BYTES} bytes, got {name!r}")


class EventRegistry:
    """The events in the order they were registered; an id is never used twice."""

    def __init__(self) -> None:
        self.by_name: dict[str, EventDefinition] = {}
        self.on_new: list[Callable[[EventDefinition], None]] = []

    def register(self, name: str, declaration: Declaration | None = None) -> EventDefinition:
        """Register *name* and return its definition; a known name keeps its id, and its declaration if it has one.

        An event that also comes from a source which does not enforce its declaration is not enforced
        for anybody, whoever declares it first.

        Raises:
            EventNameError: if the name is empty or longer than 64 bytes (`reference/core.md` §1).
        """
        check_name(name)
        known = self.by_name.get(name)
        if known is None:
            known = self.by_name[name] = EventDefinition(len(self.by_name), name)
            for told in self.on_new:
                told(known)
        if known.declaration is None and declaration is not None:
            known.declare(declaration)
        elif declaration is not None and not declaration.enforced:
            known.enforced = None
        return known

    def __getitem__(self, name: str) -> EventDefinition:
        try:
            return self.by_name[name]
        except KeyError:
            raise UnknownEventError(name) from None

    def __iter__(self) -> Iterator[EventDefinition]:
        return iter(self.by_name.values())

    def __len__(self) -> int:
        return len(self.by_name)
