"""The plugin: a batch of a virtual subscriber goes through its members."""

from __future__ import annotations

import sys
from collections.abc import Awaitable
from typing import Any

from evframe import Batch, Socket, Unavailable, hookimpl
from evframe.plugin import Address, CommandTable, Limits, PluginContext
from evframe_virtual.carrier import GroupCarrier
from evframe_virtual.commands import member_commands
from evframe_virtual.grammar import SocketParser, VirtualSocket
from evframe_virtual.group import FailoverGroup, Group, ParallelGroup, RoundRobinGroup
from evframe_virtual.hand_out import NO_HEALTHY_MEMBER, HandOut
from evframe_virtual.options import Options as VirtualOptions


class VirtualTransport:
    """The plugin object."""

    schemes = ("virtual",)
    Options = VirtualOptions
    limits = Limits(
        in_flight=sys.maxsize,  # each member has a queue
        reads_params=True,  # so may a member
        has_members=True,  # whose references to secrets are their own
    )

    def __init__(self, options: VirtualOptions | None = None) -> None:
        self._options = VirtualOptions() if options is None else options
        self._groups: dict[str, Group] = {}
        self._context: PluginContext | None = None
        self._parser: SocketParser | None = None

    @hookimpl
    def loaded(self, context: PluginContext) -> None:
        """Keep the way to other transports."""
        self._context = context
        carrier = GroupCarrier(self.deliver, self.unsubscribed)
        self._parser = SocketParser(context.transports.parse, lambda socket: Address(socket, carrier))

    @hookimpl
    def reconfigure(self, options: VirtualOptions) -> None:
        """Take other options; members and what they have stay."""
        self._options = options
        for group in self._groups.values():
            group.wait(options.failover_timeout_s)

    @hookimpl
    def management_commands(self, commands: CommandTable) -> None:
        """Contribute the commands about members."""
        for command in member_commands(self.find):
            commands.add(command)

    def find(self, text: str) -> Group | None:
        """Return the group of a subscriber, or of a member that is one itself; None when there is none.

        Raises:
            SocketError: if *text* is no socket.
        """
        assert self._context is not None
        socket = self._context.transports.parse(text).socket
        canonical = socket.canonical
        group = self._groups.get(canonical)
        if group is None and isinstance(socket, VirtualSocket):
            for lease in self._context.leases.subscriptions:
                if lease.subscriber.socket.canonical == canonical:  # else it is made at the first event
                    return self._group(socket, is_kept=lease.subscriber.queue.is_kept)
        return group

    @hookimpl
    def on_subscribe(self, scheme: str, rest: str) -> Socket | None:
        """Parse ``virtual:`` sockets, with their members."""
        if scheme != "virtual":
            return None
        assert self._parser is not None
        return self._parser.parse(rest)

    @hookimpl
    def deliver(self, socket: Socket, batch: Batch) -> Awaitable[None] | bool | None:
        """Hand the events to the members; the batch ends with the last of them."""
        if not isinstance(socket, VirtualSocket):
            return None
        group = self._group(socket, is_kept=batch.is_kept if batch.events else None)
        if group.has_healthy and batch.events:
            return HandOut(batch, group).start()
        return self._revive(group, batch)

    async def _revive(self, group: Group, batch: Batch) -> None:
        """Look for a member that is back before anything is handed out; a probe asks every member."""
        if not await (group.revive() if batch.events else group.ask()):
            raise Unavailable(NO_HEALTHY_MEMBER)
        if batch.events:
            await HandOut(batch, group).start()

    def _group(self, socket: VirtualSocket, *, is_kept: bool | None) -> Group:
        """Return the group of a socket; a policy that has changed since, when nothing waited, makes another one."""
        group = self._groups.get(socket.canonical)
        if group is not None and is_kept not in {None, group.is_kept}:
            group.close()
            group = None
        if group is None:
            assert self._context is not None
            is_kept = bool(is_kept)
            if socket.policy == "PARALLEL":
                group = ParallelGroup(self._context, socket.members, is_kept=is_kept)
            else:
                kind = FailoverGroup if socket.policy == "FAILOVER" else RoundRobinGroup
                group = kind(self._context, socket.members, self._options.failover_timeout_s, is_kept=is_kept)
            self._groups[socket.canonical] = group
        return group

    @hookimpl
    def describe(self, socket: Socket) -> dict[str, Any] | None:
        """Return the state of the members."""
        if not isinstance(socket, VirtualSocket):
            return None
        group = self._groups.get(socket.canonical)
        if group is None:
            return {"members": [{"socket": member.socket.canonical, "state": "idle"} for member in socket.members]}
        return {"members": group.describe()}

    @hookimpl
    def unsubscribed(self, socket: Socket) -> None:
        """Let the members go."""
        group = self._groups.pop(socket.canonical, None)
        if group is not None:
            group.close()
