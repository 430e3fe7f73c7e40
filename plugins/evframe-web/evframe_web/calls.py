"""The management commands that the page calls, under the policy of run-time clients."""

from __future__ import annotations

import logging
from collections.abc import Hashable, Mapping
from typing import TYPE_CHECKING, Any, Final

from evframe_mi import Management, dispatcher_of

from evframe.plugin import CommandError
from evframe_web.encoding import encoded

if TYPE_CHECKING:
    from evframe.plugin import PluginContext

log = logging.getLogger("evframe.web")
FLEET: Final = "fleet"
READS: Final = ("dead_letters:list", "dead_letters:show", "dead_letters:replays", f"{FLEET}:status")
"""The commands that change nothing."""
ACTIONS: Final = (
    "virtual:enable",
    "virtual:disable",
    "dead_letters:replay",
    "dead_letters:stop",
    "dead_letters:drop",
)
"""The commands that need the token."""


class Calls:
    """Calls commands as a client of the interface ``web``.

    Args:
        context: of the plugin.

    Raises:
        ConfigError: if the plugin ``mi`` is not loaded, whose commands and policy these are.
    """

    def __init__(self, context: PluginContext) -> None:
        self._context = context
        self._dispatcher = dispatcher_of(context)

    def permitted(self) -> list[str]:
        """Return the commands that can be called: of loaded plugins, and permitted by the policy."""
        management = self._context.plugins.get_plugin("mi")
        if not isinstance(management, Management):
            return []
        policy = management.policies.of(self._context.name)
        return [name for name in (*READS, *ACTIONS) if self._exists(name) and policy.permits_command((name,))]

    def _exists(self, name: str) -> bool:
        try:
            self._context.commands.find(name)
        except CommandError:
            return False
        of = name.partition(":")[0]
        return of != FLEET or any(group.name == of for group in self._context.status)  # the plugin may be in no fleet

    async def read(self, name: str, params: Mapping[str, Any], client: Hashable) -> bytes:
        """Return the answer in JSON-RPC of a command that changes nothing."""
        return await self._call(name, params, client)

    async def act(self, name: str, params: Mapping[str, Any], client: Hashable, peer: str | None) -> bytes:
        """Return the answer in JSON-RPC of one that does, which is logged.

        Raises:
            LookupError: if the page has no such action.
        """
        if name not in ACTIONS:
            raise LookupError(name)
        log.info("an operator acts", extra={"command": name, "params": str(dict(params)), "peer": peer})
        return await self._call(name, params, client)

    async def _call(self, name: str, params: Mapping[str, Any], client: Hashable) -> bytes:
        request = {"jsonrpc": "2.0", "id": 1, "method": name, "params": params}
        answer = await self._dispatcher.answer(encoded(request), client)
        assert answer is not None
        return answer
