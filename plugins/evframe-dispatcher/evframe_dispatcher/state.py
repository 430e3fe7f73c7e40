"""The state of one destination."""

from __future__ import annotations

from typing import Final, Literal

import attrs

State = Literal["active", "inactive", "probing"]
STATES: Final[tuple[State, ...]] = ("active", "inactive", "probing")
"""In the order of their numbers."""
WORDS: Final[dict[str, State]] = {
    **dict.fromkeys(("a", "A", "1", "active"), "active"),
    **dict.fromkeys(("i", "I", "0", "inactive"), "inactive"),
    **dict.fromkeys(("p", "P", "2", "probing"), "probing"),
}
"""The texts that name a state to mark a destination with, where 0 and 1 are not the numbers of the states."""


@attrs.frozen
class Change:
    """Another state than before."""

    state: State
    """The new one."""
    flipped: bool
    """Whether the destination is used now and was not before, or the other way round."""


class Health:
    """Active, inactive until it is marked otherwise, or probing: out of use until a probe is good.

    Args:
        threshold: so many failures, without a good probe between, make a destination probing.
        always_probed: whether it is probed while it is active, and negative replies count.
        state: where it begins.
    """

    __slots__ = ("_always_probed", "_threshold", "failures", "state")

    def __init__(self, threshold: int = 3, *, always_probed: bool = False, state: State = "active") -> None:
        self._threshold = threshold
        self._always_probed = always_probed
        self.state = state
        self.failures = 0

    @property
    def active(self) -> bool:
        """Whether the destination is used."""
        return self.state == "active"

    @property
    def probed(self) -> bool:
        """Whether it is to be probed."""
        return self.state == "probing" or (self._always_probed and self.state == "active")

    def replied(self, *, good: bool) -> Change | None:
        """Record the reply to a probe; an inactive destination stays inactive."""
        if self.state == "inactive":
            return None
        if good:
            self.failures = 0
            return self._become("active")
        return self.fail() if self._always_probed else None

    def fail(self) -> Change | None:
        """Count a failure, of a probe that could not be sent or of use."""
        if self.state == "inactive":
            return None
        self.failures = min(self.failures + 1, self._threshold)
        return self._become("probing") if self.failures >= self._threshold else None

    def mark(self, state: State) -> Change | None:
        """Set the state.

        ``probing`` counts a failure, or makes an inactive destination active.
        The failures stay counted in each state: only a good probe resets them.
        """
        if state == "probing" and self.state != "inactive":
            return self.fail()
        return self._become("active" if state == "probing" else state)

    def _become(self, state: State) -> Change | None:
        if state == self.state:
            return None
        before, self.state = self.state, state
        return Change(state, "active" in {before, state})
