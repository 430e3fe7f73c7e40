"""What the page shows and does, whichever library receives the requests."""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable, Hashable, Mapping
from typing import TYPE_CHECKING, Any, Final

import orjson
from evframe_http import Refused, Warnings

from evframe.plugin import StatisticGroup
from evframe_web import state
from evframe_web.access import Access, log
from evframe_web.calls import FLEET, Calls
from evframe_web.encoding import encoded
from evframe_web.snapshot import Snapshots
from evframe_web.viewers import Own, Viewers

if TYPE_CHECKING:
    from evframe.plugin import PluginContext
    from evframe_web.rows import Query
    from evframe_web.snapshot import Snapshot

_JOURNAL: Final = "journal"


class Desk:
    """What an interface offers to the page.

    Args:
        context: of the plugin.
        access: the rules, which a reload exchanges.
        changes: see `evframe_web.snapshot.Snapshots`.

    Raises:
        ConfigError: if the plugin ``mi`` is not loaded.
    """

    def __init__(self, context: PluginContext, access: Access, changes: Mapping[str, tuple[float, str | None]]) -> None:
        self._context = context
        self.access = access
        """The rules."""
        self.warnings = Warnings(log)
        """Logs what is wrong with requests."""
        self.calls = Calls(context)
        """The management commands."""
        self.own = Own()
        """What the pages cause, which they do not show."""
        self.viewers = Viewers(context, self.own, lambda: self.access.options.events_per_s)
        """The pages that look at live events."""
        self.snapshots = Snapshots(context, changes, self.own)
        """The state."""
        self.refused = 0
        """How many requests were refused."""
        self.actions = 0
        """How many times an operator has acted."""

    def use(self, access: Access) -> None:
        """Apply other rules; the pages that look at events have to prove again that they may."""
        self.access = access
        self.viewers.close_all()

    def session(self) -> dict[str, Any]:
        """Return what the page is for, and what it may do with the token."""
        return {
            "title": self.access.options.title or socket.gethostname(),
            "asks": self.access.guard.asks,
            "commands": self.calls.permitted(),
            "events_per_s": self.access.options.events_per_s,
        }

    def refuse(self, refused: Refused, peer: str | None) -> None:
        """Count and log a request that is refused."""
        self.refused += 1
        self.warnings.warn("a request of a page was refused", peer=peer, problem=refused.problem)

    async def overview(self) -> bytes:
        """Return the sums, and what the picture is drawn from, in JSON."""

        async def make(snapshot: Snapshot) -> Any:
            shown = await state.overview(self._context, snapshot, self._journal())
            return {**shown, "session": self.session()}  # which a reload changes while pages look

        return await self._answered(("overview",), make)

    async def table(self, name: str, query: Query) -> bytes:
        """Return a page of a table in JSON; LookupError for a name of none, ValueError for a key of none."""

        async def make(snapshot: Snapshot) -> Any:
            return await state.table(self._context, snapshot, name, query)

        return await self._answered((name, query), make)

    async def subscriber(self, key: str) -> bytes:
        """Return all about one subscriber in JSON; LookupError when there is none."""

        async def make(snapshot: Snapshot) -> Any:
            return await state.subscriber(self._context, snapshot, key)

        return await self._answered(("subscriber", key), make)

    async def fleet(self, client: Hashable) -> bytes:
        """Return what the fleet is doing, in JSON-RPC; the answer is made at most once a second for all pages."""

        async def make(_: Snapshot) -> Any:
            return orjson.Fragment(await self.calls.read(f"{FLEET}:status", {}, client))

        return await self._answered((FLEET,), make)

    async def act(self, name: str, params: Mapping[str, Any], client: Hashable, peer: str | None) -> bytes:
        """Call a command that changes something; LookupError for another one."""
        answer = await self.calls.act(name, params, client, peer)
        self.actions += 1
        self.snapshots.expire()  # the page shows what has changed at once
        return answer

    async def _answered(self, question: Any, make: Callable[[Snapshot], Awaitable[Any]]) -> bytes:
        """Return the answer to a question; pages that ask the same in the same second share it."""
        snapshot = await self.snapshots.get()
        answer = snapshot.answers.get(question)
        if answer is None:
            answer = encoded(await make(snapshot))
            if len(snapshot.answers) < self.access.options.max_viewers:
                snapshot.answers[question] = answer
        return answer

    def _journal(self) -> dict[str, StatisticGroup]:
        plugin = self._context.plugins.get_plugin(_JOURNAL)
        hook = None if plugin is None else self._context.plugins.own_hook("statistics", plugin)
        return {} if hook is None else {group.name: group for group in hook()}
