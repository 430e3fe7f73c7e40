"""Policies: how the events for a subscriber, or for one of its leases, are chosen, kept and sent."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Literal

import attrs
from attrs.validators import optional
from evframe_options import above, at_least, structure
from evframe_wire.patterns import fits_socket


@attrs.frozen(kw_only=True)
class Policy:
    """How the events for a subscriber are chosen, kept and sent; None for what is not set."""

    where: str | None = None
    """An expression over the parameters, in CESQL: the lease gets the events for which it is true."""
    only: list[str] | None = None
    """The parameters that the lease gets, by name."""
    sample: float | None = attrs.field(default=None, validator=optional(above(0, 1)))
    """The share of the events that the lease gets, such as 0.01."""
    max_age_s: float | None = attrs.field(default=None, validator=optional(above(0)))
    """After how many seconds an event that waits expires."""
    rate: float | None = attrs.field(default=None, validator=optional(above(0)))
    """How many events a second are sent at most."""
    burst: int | None = attrs.field(default=None, validator=optional(at_least(1)))
    """How many events are sent at once after a pause, whatever the rate."""
    keep: Literal["memory", "disk"] | None = None
    """Where events wait: in `memory`, or on `disk` when they wait for long."""
    max_bytes: int | None = attrs.field(default=None, validator=optional(at_least(1)))
    """How many bytes of payloads may wait."""
    when_full: Literal["drop_oldest", "drop_newest", "block", "dead_letter"] | None = None
    """What happens to an event that finds no room; left out, what ``[core] overflow`` says."""
    priority: int | None = None
    """Under pressure, the events of subscribers with lower numbers are dropped first; 0 when left out."""
    dead_letter: bool | None = None
    """Whether an event that finally fails becomes a dead letter."""
    dedup_s: float | None = attrs.field(default=None, validator=optional(above(0)))
    """For how many seconds an event that is equal to an earlier one is dropped."""
    required: bool | None = None
    """Whether the process is not ready while events cannot be delivered to the subscriber."""

    @classmethod
    def read(cls, given: Mapping[str, Any]) -> Policy:
        """Return the policy with the *given* keys; ValueError, which begins with a key, when a value does not fit."""
        problems: list[str] = []
        policy: Policy = structure(given, Policy, "", problems)
        if problems:
            raise ValueError(problems[0].removeprefix("."))
        return policy.of(KEYS)

    @property
    def keys(self) -> dict[str, Any]:
        """What is set, by name."""
        return {name: getattr(self, name) for name in KEYS if getattr(self, name) is not None}

    @property
    def is_selective(self) -> bool:
        """Whether the lease may get fewer events, or fewer parameters, than another one on the same event."""
        return not (self.where is None and self.only is None and self.sample is None)

    def over(self, other: Policy) -> Policy:
        """Return this policy, with the values of *other* for what it does not set; a burst is that of its rate."""
        if self is NONE:
            return other
        below = other.keys
        if self.rate is not None:  # its burst is that of one second where it has none
            below.pop("burst", None)
        return Policy(**{**below, **self.keys})

    def of(self, keys: Iterable[str]) -> Policy:
        """Return the part of this policy that consists of *keys*."""
        found = {name: value for name, value in self.keys.items() if name in keys}
        return Policy(**found) if found else NONE


KEYS: Final = tuple(field.name for field in attrs.fields(Policy))
"""What a policy may set."""
OF_LEASES: Final = frozenset({"where", "only", "sample"})
"""What concerns one lease."""
OF_SUBSCRIBERS: Final = frozenset(KEYS) - OF_LEASES
"""What concerns a subscriber with all its leases."""
OF_CLIENTS: Final = OF_LEASES | {"max_age_s", "rate", "burst", "dedup_s"}
"""What a run-time client may set."""
NONE: Final = Policy()


@attrs.frozen(kw_only=True)
class PolicyOptions(Policy):
    """One ``[[policies]]``: what holds for the subscribers whose sockets match."""

    socket: str
    """A pattern of canonical sockets, such as ``tcp:10.*``; the first entry that matches counts."""


def matching(options: Sequence[PolicyOptions], canonical: str) -> Policy:
    """Return the policy of the first of *options* that matches the socket."""
    return next((each.of(KEYS) for each in options if fits_socket(canonical, each.socket)), NONE)
