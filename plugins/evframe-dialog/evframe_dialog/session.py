"""One session, and what can be done with it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final, Literal, Protocol

import attrs

from evframe.plugin import check_timeout
from evframe_dialog.states import State, Step

Side = Literal["caller", "callee"]
SIDES: Final[tuple[Side, Side]] = ("caller", "callee")
ROOT: Final = 2**32


def check_text(name: str, value: object, *, empty: bool = True) -> None:
    """Raise ValueError unless *value* is text that every subscriber can take."""
    if not isinstance(value, str) or not (value or empty):
        raise ValueError(f"{name}: expected text, got {value!r}")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError(f"{name}: expected valid Unicode, got {value!r}") from None


@attrs.frozen
class Ping:
    """A side that is pinged while the session is answered.

    An answer of 408 or 481, an error, or none in time means that the side is dead.
    """

    side: Side
    """Who is pinged."""
    send: Callable[[Session, Side], Awaitable[int]]
    """Sends one ping and returns the code of the reply."""
    kind: Literal["options", "reinvite"] = "options"
    """Which of the intervals it has."""


@attrs.define
class Round:
    """The pings of one side: when the next is due, and whether the last one found it dead."""

    ping: Ping
    next_at: float
    dead: bool = False
    under_way: bool = False


def _positive(_: Any, attribute: attrs.Attribute[float], value: float) -> None:
    check_timeout(attribute.name, value)
    if value <= 0:
        raise ValueError(f"{attribute.name}: expected more than 0, got {value!r}")


@attrs.frozen
class Handling:
    """How a session ends."""

    lifetime_s: float = attrs.field(validator=_positive)
    """From its answer on."""
    hang_up: Callable[[Session, Side], Awaitable[Any]] | None = None
    """Notifies a side that the session is over; without it, it ends silently."""
    on_timeout: Callable[[Session], float | None] | None = None
    """Called at the end of the lifetime; a number continues the session for so many seconds."""
    end_on_race_condition: bool = False
    """Whether its lifetime is short when it is answered although it had been given up."""
    pings: tuple[Ping, ...] = ()
    """The sides that are pinged."""


class Owner(Protocol):
    """What keeps a session, and carries out what its methods say."""

    def step(self, session: Session, step: Step, *, to_tag: str | None = None, reason: str = "") -> None:
        """Have something happen to a session."""

    def record_activity(self, session: Session) -> None:
        """Record that a peer has sent something."""

    def extend(self, session: Session, lifetime_s: float) -> None:
        """Give a session another lifetime."""

    def add_profile(self, session: Session, name: str, value: str) -> None:
        """Have a session belong to a profile with a value."""

    def remove_profile(self, session: Session, name: str, value: str) -> bool:
        """Take a session out of a profile; return whether it was there."""


class Session:
    """A session; its attributes are for reading, its methods say what happens to it."""

    __slots__ = (
        "_owner",
        "active_at",
        "answered_at",
        "bye_seen",
        "callid",
        "cancelled",
        "db_id",
        "deadline",
        "due",
        "end_reason",
        "ended_at",
        "ending",
        "extra_headers",
        "from_tag",
        "handling",
        "id",
        "profiles",
        "raced",
        "rounds",
        "started_at",
        "state",
        "to_tag",
        "transaction_over",
        "values",
    )

    def __init__(  # noqa: PLR0913, PLR0917 what identifies it
        self, owner: Owner, slot: int, serial: int, callid: str, from_tag: str, handling: Handling
    ) -> None:
        self._owner = owner
        self.id = f"{slot:x}"[::-1] + "." + f"{serial:x}"[::-1]
        """Two hexadecimal numbers, the digits least significant first."""
        self.db_id = str(slot * ROOT + serial)
        """The same as one decimal number."""
        self.callid = callid
        self.from_tag = from_tag
        self.to_tag: str | None = None
        self.handling = handling
        self.state = State.UNCONFIRMED
        self.started_at: float | None = None
        """The Unix time of the answer, in seconds."""
        self.end_reason = ""
        """Why it has ended."""
        self.extra_headers = ""
        """Headers that a command wants in what `hang_up` sends."""
        self.values: dict[str, str] = {}
        """What the service keeps with it."""
        self.profiles: set[tuple[str, str]] = set()
        """The profiles that it belongs to, each with a value."""
        self.bye_seen = False
        self.cancelled = False
        self.raced = False
        self.ending = False
        self.transaction_over = False
        self.deadline = 0.0  # of the monotonic clock, as the times below; 0 for none
        self.active_at = 0.0
        self.answered_at = 0.0
        self.ended_at = 0.0
        self.due = 0
        self.rounds: list[Round] = []

    @property
    def has_ended(self) -> bool:
        """Whether its state is the last one."""
        return self.state is State.DELETED

    def provisional(self, to_tag: str | None = None) -> None:
        """Record a 1xx reply."""
        check_text("to_tag", to_tag or "")
        self._owner.step(self, Step.PROVISIONAL, to_tag=to_tag)

    def final(self, code: int, to_tag: str | None = None) -> None:
        """Record a final reply.

        Args:
            code: 200 to 699.
            to_tag: the tag of who answers.
        """
        if not 200 <= code <= 699:
            raise ValueError(f"code: expected 200 to 699, got {code!r}")
        check_text("to_tag", to_tag or "")
        if code < 300:
            self._owner.step(self, Step.ANSWER, to_tag=to_tag)
        else:
            self._owner.step(self, Step.REJECTION, reason=str(code))

    def ack(self) -> None:
        """Record the acknowledgement of the answer."""
        self._owner.step(self, Step.ACK)

    def bye(self, side: Side = "caller", to_tag: str | None = None) -> None:
        """Record that a side ends the session; before the answer that is only remembered.

        Args:
            side: who ends it.
            to_tag: that of the leg; a caller's end of another leg than the one that answered changes nothing.
        """
        if side == "caller" and to_tag is not None and self.answered_at and to_tag != self.to_tag:
            return
        self._owner.step(self, Step.BYE, reason="Downstream BYE" if side == "caller" else "Upstream BYE")

    def transaction_destroyed(self) -> None:
        """Record that no more replies can come to what created the session."""
        self._owner.step(self, Step.DESTROYED)

    def ringing(self) -> None:
        """Record the request to the far side."""
        self.provisional()

    def answered(self) -> None:
        """Record the final reply of the far side."""
        self.final(200)

    def acknowledged(self) -> None:
        """Record the ACK."""
        self.ack()

    def ended(self, reason: str = "") -> None:
        """Record that the session is over, whatever its state."""
        self._owner.step(self, Step.END, reason=reason)

    def record_activity(self) -> None:
        """Record a sign of life, which the idle time-out counts from."""
        self._owner.record_activity(self)

    def extend(self, lifetime_s: float) -> None:
        """Have the session last for *lifetime_s* seconds from now, or from its answer if that is to come."""
        self._owner.extend(self, lifetime_s)

    def add_profile(self, name: str, value: str = "") -> None:
        """Have the session count for a profile, with a value or without, until it ends."""
        self._owner.add_profile(self, name, value)

    def remove_profile(self, name: str, value: str = "") -> bool:
        """Have the session count for a profile no more; return whether it did."""
        return self._owner.remove_profile(self, name, value)

    def __repr__(self) -> str:
        return f"Session({self.id!r}, {self.callid!r}, {self.state.name})"
