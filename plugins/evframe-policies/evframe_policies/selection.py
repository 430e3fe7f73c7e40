"""What the leases on one event get of it: all, some, a share, or a part of the parameters."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from evframe_cesql import Filter as CesqlFilter
from evframe_cesql import Index

from evframe.plugin import LogLimiter
from evframe_policies.parameters import named, part_of

if TYPE_CHECKING:
    from evframe import Event
    from evframe.plugin import Filter, Policy, Subscriber, Subscription

log = logging.getLogger("evframe.policies")


class Choice:
    """What one lease gets, and what it did not get.

    Args:
        subscriber: of the lease.
        policy: of the lease.
        seen: how many events its event had before.
    """

    __slots__ = ("_gone", "_passed", "_seen", "_share", "_sum", "only", "policy", "sampled", "subscriber")

    def __init__(self, subscriber: Subscriber, policy: Policy, seen: int) -> None:
        self.subscriber = subscriber
        self.sampled = 0
        """How many events passed the filter and were left out by `sample`."""
        self._gone = 0  # events that filters before the present one left out
        self._passed = 0
        self._sum = 0
        self.follow(policy, seen)

    def follow(self, policy: Policy, seen: int) -> None:
        """Follow another policy from now on, and count on."""
        self.policy = policy
        self.only = None if policy.only is None else frozenset(policy.only)
        # The decimals that were written, because 0.1 is not a tenth as a float.
        self._share = None if policy.sample is None else Fraction(repr(policy.sample))
        self._seen, self._passed = seen, 0

    def filtered(self, seen: int) -> int:
        """Return how many events did not pass the filters, when the event has had *seen* ones."""
        return self._gone + seen - self._seen - self._passed

    def settle(self, seen: int) -> None:
        """Keep the number of the events that did not pass, because another filter follows."""
        self._gone = self.filtered(seen)

    def takes_next(self) -> bool:
        """Count an event that has passed the filter, and return whether the lease gets it: a fixed share of these."""
        self._passed += 1
        share = self._share
        if share is None:
            return True
        self._sum += share.numerator
        if self._sum < share.denominator:
            self.sampled += 1
            return False
        self._sum -= share.denominator
        return True


class Selection:
    """Returns which subscribers of one event get it, with which parameters; `Channel.select_by` takes it.

    Filters that begin with an equality are found by a look-up, and equal ones are evaluated once. A part of the
    parameters is made once for all leases that get it.

    Args:
        compile_filter: returns the filter of a text.
    """

    def __init__(self, compile_filter: Callable[[str], Filter]) -> None:
        self._compile = compile_filter
        self._seen = 0
        self._choices: dict[Subscription, Choice] = {}
        self._index: Index[Choice] = Index()
        self._others: dict[str, tuple[Filter, dict[Choice, None]]] = {}  # of other dialects, by text
        self._unfiltered: dict[Choice, None] = {}
        self._limiter = LogLimiter()

    def __len__(self) -> int:
        return len(self._choices)

    def add(self, lease: Subscription) -> None:
        """Follow the policy of *lease*, which may have had another one."""
        policy, choice = lease.policy, self._choices.get(lease)
        if choice is not None and choice.policy == policy:
            return
        compiled = None if policy.where is None else self._compile(policy.where)
        if choice is None:
            choice = self._choices[lease] = Choice(lease.subscriber, policy, self._seen)
        else:
            self._take_out(choice)
            choice.settle(self._seen)
            choice.follow(policy, self._seen)
        if compiled is None:
            self._unfiltered[choice] = None
        elif isinstance(compiled, CesqlFilter):
            self._index.add(choice, compiled)
        else:
            self._others.setdefault(policy.where or "", (compiled, {}))[1][choice] = None

    def remove(self, lease: Subscription) -> tuple[int, int]:
        """Forget *lease*; return how many events it did not get, by its filter and by its share."""
        choice = self._choices.pop(lease, None)
        if choice is None:
            return 0, 0
        self._take_out(choice)
        return choice.filtered(self._seen), choice.sampled

    def _take_out(self, choice: Choice) -> None:
        self._unfiltered.pop(choice, None)
        self._index.remove(choice)
        others = self._others.get(choice.policy.where or "")
        if others is not None:
            others[1].pop(choice, None)
            if not others[1]:
                del self._others[choice.policy.where or ""]

    def counts(self, lease: Subscription) -> tuple[int, int] | None:
        """Return how many events a lease did not get, by its filter and by its share; None without such a policy."""
        choice = self._choices.get(lease)
        return None if choice is None else (choice.filtered(self._seen), choice.sampled)

    def totals(self) -> tuple[int, int]:
        """Return the sums of `counts` over all leases."""
        counts = [(each.filtered(self._seen), each.sampled) for each in self._choices.values()]
        return sum(filtered for filtered, _ in counts), sum(sampled for _, sampled in counts)

    def __call__(self, event: Event) -> Sequence[tuple[Event, Sequence[Subscriber]]]:
        """Return what is sent, each with its subscribers."""
        self._seen += 1
        params = event.params
        if type(params) is not dict:
            params = named(event)
        name = event.definition.name
        found = self._index.matching(params, name)
        if self._others:
            for compiled, choices in self._others.values():
                if self._passes(compiled, params, name):
                    found += choices
        if self._unfiltered:
            found += self._unfiltered
        return self._shared(event, found) if found else ()

    def _passes(self, compiled: Filter, params: Mapping[str, Any], name: str) -> bool:
        """Return whether an event passes a filter of another plugin, whose error must not cost others the event."""
        try:
            return compiled.matches(params, name)
        except Exception as error:
            if self._limiter.due(repr(type(error))) is not None:
                log.exception("a filter raised an error", extra={"event": name})
            return False

    def _shared(self, event: Event, found: Iterable[Choice]) -> Sequence[tuple[Event, Sequence[Subscriber]]]:
        groups: dict[frozenset[str] | None, list[Subscriber]] = {}
        for choice in found:
            if choice.takes_next():
                groups.setdefault(choice.only, []).append(choice.subscriber)
        return [(event if only is None else part_of(event, only), each) for only, each in groups.items()]
