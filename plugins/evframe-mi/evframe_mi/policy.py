"""The policy of run-time clients: what they may subscribe, raise, call and end over a management interface."""

from __future__ import annotations

import ipaddress
import logging
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fnmatch import translate
from typing import Any, Final

import attrs

from evframe import Socket
from evframe.plugin import ForbiddenError, LogLimiter, Network, endpoints_of, is_within, leaves, numeric
from evframe_mi.options import ALL, NARROWING_KEYS, ManagementOptions, NarrowingOptions

log = logging.getLogger("evframe.management")
NETWORK_SCHEMES: Final = ("udp", "tcp", "unix", "xmlrpc", "xmlrpcs", "rabbitmq", "kafka")
"""What may be subscribed where the configuration names no schemes."""
_PATH_SCHEMES: Final = ("unix",)  # of those above


def _matcher(patterns: list[str] | None) -> re.Pattern[str]:
    """Return the pattern that a name has to match."""
    return re.compile("|".join(map(translate, [ALL] if patterns is None else patterns)) or r"(?!)")


class _Rules:
    """One table of the policy; where a rule is None, anything is permitted.

    Args:
        schemes: the permitted schemes when the table names none.
        options: the table.
    """

    def __init__(self, schemes: Sequence[str] | None, options: ManagementOptions | NarrowingOptions) -> None:
        self._names_schemes = options.schemes is not None
        named = schemes if options.schemes is None else options.schemes
        self._schemes = None if named is None or ALL in named else named
        self._file_roots = options.file_roots
        self.networks = None if options.networks is None else tuple(map(ipaddress.ip_network, options.networks))
        self.raise_events = _matcher(options.raise_events)
        self.commands = _matcher(options.commands)

    def check(self, target: Socket) -> None:
        files: Sequence[str] = getattr(target, "files", ())
        self._check_scheme(target.canonical, is_file=bool(files))
        if files:
            self._check_files(target.canonical, files)
        elif self.networks is not None:
            self._check_networks(target, self.networks)

    def _check_scheme(self, canonical: str, *, is_file: bool) -> None:
        scheme = canonical.partition(":")[0]
        may_be_file = is_file and not self._names_schemes
        if self._schemes is not None and scheme not in self._schemes and not may_be_file:
            expected = ", ".join(self._schemes) or "none"
            raise ForbiddenError("schemes", canonical, f"expected a permitted scheme of {expected}, got {scheme!r}")

    def _check_files(self, canonical: str, files: Sequence[str]) -> None:
        if self._file_roots is None:
            return
        roots = list(map(os.path.realpath, self._file_roots))
        for real in map(os.path.realpath, files):
            if not any(os.path.commonpath((real, root)) == root != real for root in roots):
                problem = f"expected a file below a folder of file_roots, got {real!r}"
                raise ForbiddenError("file_roots", canonical, problem)

    @staticmethod
    def _check_networks(target: Socket, networks: Sequence[Network]) -> None:
        scheme = target.canonical.partition(":")[0]
        connects = scheme in NETWORK_SCHEMES and scheme not in _PATH_SCHEMES
        if not endpoints_of(target) and (connects or not hasattr(target, "endpoints")):
            problem = "expected a transport whose sockets have endpoints, which networks are compared with"
            raise ForbiddenError("networks", target.canonical, problem)
        for host, port in endpoints_of(target):
            for address in numeric(host, port) or ():
                if not is_within(address.ip, networks):
                    problem = f"expected an address of a permitted network, got {address.ip!r}"
                    raise ForbiddenError("networks", target.canonical, problem)


class Policy:
    """What the clients of one management interface may do: only what each of its tables permits.

    Args:
        name: of the interface, for the log.
        general: the table ``[management]``.
        narrowing: the same keys of the interface's own table.
    """

    def __init__(self, name: str, general: ManagementOptions, narrowing: NarrowingOptions | None = None) -> None:
        self.name = name
        narrowing = narrowing or NarrowingOptions()
        self._rules = (_Rules(NETWORK_SCHEMES, general), _Rules(None, narrowing))
        self.may_end_configured = general.end_configured and narrowing.end_configured is not False
        """Whether subscriptions of the configuration may be ended."""
        self._commands: dict[tuple[str, ...], bool] = {}

    @property
    def networks(self) -> tuple[Network, ...] | None:
        """The networks that the addresses of a name must be in; None for any."""
        return narrowest(rules.networks for rules in self._rules)

    def check_socket(self, target: Socket) -> None:
        """Raise ForbiddenError unless *target*, with each of its members, may be subscribed."""
        for leaf in leaves(target):
            reserved = getattr(leaf, "reserved", None)
            if reserved:
                problem = f"expected {reserved} in sockets of the configuration alone"
                raise ForbiddenError("reserved", leaf.canonical, problem)
            owner = getattr(leaf, "owner", self.name)
            if owner != self.name:
                problem = f"expected the interface {owner!r}, whose clients alone subscribe the socket"
                raise ForbiddenError("reserved", leaf.canonical, problem)
            for rules in self._rules:
                rules.check(leaf)

    def check_raise(self, event: str) -> None:
        """Raise ForbiddenError unless *event* may be raised."""
        for rules in self._rules:
            if not rules.raise_events.fullmatch(event):
                raise ForbiddenError("raise_events", event, "expected an event that may be raised")

    def check_command(self, names: tuple[str, ...]) -> None:
        """Raise ForbiddenError unless the command that has *names* may be called."""
        if not self.permits_command(names):
            raise ForbiddenError("commands", names[0], "expected a command that may be called")

    def permits_command(self, names: tuple[str, ...]) -> bool:
        """Return whether the command that has *names* may be called by one of them."""
        permitted = self._commands.get(names)
        if permitted is None:
            permitted = all(any(map(rules.commands.fullmatch, names)) for rules in self._rules)
            self._commands[names] = permitted
        return permitted


def narrowest(limits: Iterable[tuple[Network, ...] | None]) -> tuple[Network, ...] | None:
    """Return the networks that are within all of *limits*; None, in them and returned, stands for any."""
    common: tuple[Network, ...] | None = None
    for networks in limits:
        if networks is not None:
            common = networks if common is None else tuple(_overlaps(common, networks))
    return common


def _overlaps(some: Iterable[Network], others: Sequence[Network]) -> Iterator[Network]:
    for one in some:
        for other in others:
            if one.version == other.version and one.overlaps(other):
                yield one if one.prefixlen >= other.prefixlen else other


class Policies:
    """The policies of all management interfaces, and the number of requests that each rule has refused."""

    def __init__(self, general: ManagementOptions) -> None:
        self.refused: Counter[str] = Counter()
        """How often each rule has refused a request."""
        self._limiter = LogLimiter()
        self.configure(general, {})

    def configure(self, general: ManagementOptions, narrowings: Mapping[str, NarrowingOptions]) -> None:
        """Set the table of all interfaces, and the tables of single interfaces by name."""
        self.options = general
        """The table ``[management]``."""
        self._narrowings = narrowings
        self._by_name: dict[str, Policy] = {}
        self.general = Policy("", general)
        """The policy that holds for all interfaces."""

    @property
    def rules(self) -> dict[str, Any]:
        """The rules by their names; those of one interface are prefixed with its name."""
        rules = attrs.asdict(self.options)
        for name, narrowing in self._narrowings.items():
            own = {f"{name}.{key}": getattr(narrowing, key) for key in NARROWING_KEYS}
            rules |= {key: value for key, value in own.items() if value is not None}
        return rules

    def of(self, name: str) -> Policy:
        """Return the policy of the interface *name*."""
        policy = self._by_name.get(name)
        if policy is None:
            policy = self._by_name[name] = Policy(name, self.options, self._narrowings.get(name))
        return policy

    def record(self, policy: Policy, error: ForbiddenError) -> None:
        """Count a refusal, and log it unless a refusal by the same rule was logged a moment ago."""
        self.refused[error.rule] += 1
        repeated = self._limiter.due((policy.name, error.rule))
        if repeated is not None:
            extra = {"interface": policy.name, "rule": error.rule, "problem": str(error), "repeated": repeated}
            log.warning("the policy refuses a request", extra=extra)
