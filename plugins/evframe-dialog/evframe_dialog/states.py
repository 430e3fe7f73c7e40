"""The states of a session, and what leads from one to another."""

from __future__ import annotations

import enum
from typing import Final


class State(enum.IntEnum):
    """Where a session is."""

    UNCONFIRMED = 1
    """It was created."""
    EARLY = 2
    """It rings."""
    CONFIRMED_NA = 3
    """It was answered, and the answer not acknowledged yet."""
    CONFIRMED = 4
    """It was answered, and the answer acknowledged."""
    DELETED = 5
    """It has ended."""


ANSWERED: Final = (State.CONFIRMED_NA, State.CONFIRMED)


class Step(enum.Enum):
    """What happens to a session."""

    PROVISIONAL = "provisional"
    """A 1xx reply."""
    ANSWER = "answer"
    """A 2xx reply."""
    REJECTION = "rejection"
    """Any later reply."""
    ACK = "ack"
    """The acknowledgement of the answer."""
    BYE = "bye"
    """One side ends it; before the answer that is only remembered."""
    DESTROYED = "destroyed"
    """The transaction that creates it is over."""
    END = "end"
    """It is ended from outside: by a timer, a dead side or a command."""


_UNCONFIRMED, _EARLY, _CONFIRMED_NA, _CONFIRMED, _DELETED = State
_NEXT: Final = {
    Step.PROVISIONAL: {_UNCONFIRMED: _EARLY, _EARLY: _EARLY},
    # Repeated answers and acknowledgements are those of a network that loses some.
    Step.ANSWER: {
        _UNCONFIRMED: _CONFIRMED_NA,
        _EARLY: _CONFIRMED_NA,
        _CONFIRMED_NA: _CONFIRMED_NA,
        _CONFIRMED: _CONFIRMED,
        _DELETED: _CONFIRMED_NA,
    },
    Step.REJECTION: {_UNCONFIRMED: _DELETED, _EARLY: _DELETED},
    Step.ACK: {_CONFIRMED_NA: _CONFIRMED, _CONFIRMED: _CONFIRMED},
    Step.BYE: {
        _UNCONFIRMED: _UNCONFIRMED,
        _EARLY: _EARLY,
        _CONFIRMED_NA: _DELETED,
        _CONFIRMED: _DELETED,
        _DELETED: _DELETED,
    },
    Step.DESTROYED: {
        _UNCONFIRMED: _DELETED,
        _EARLY: _DELETED,
        _CONFIRMED_NA: _CONFIRMED_NA,
        _CONFIRMED: _CONFIRMED,
        _DELETED: _DELETED,
    },
    Step.END: dict.fromkeys(State, _DELETED),
}


def next_state(state: State, step: Step, *, over: bool) -> State | None:
    """Return the state that *step* leads to from *state*; None when the two do not go together.

    Args:
        state: where the session is.
        step: what happens.
        over: whether it has ended for good, so that a late answer does not revive it.
    """
    if step is Step.ANSWER and state is _DELETED and over:
        return None
    return _NEXT[step].get(state)
