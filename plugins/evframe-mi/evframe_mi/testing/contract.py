"""The contract of management interfaces: one table of requests and replies, which each interface has to pass."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, suppress
from functools import partial
from typing import Any, ClassVar, Final

from evframe import EventInterface, hookimpl
from evframe.plugin import Command, CommandTable
from evframe.testing.transports import MemoryTransport, until
from evframe_mi.plugin import Management
from evframe_mi.testing.requests import ANY_SCHEME
from evframe_mi.testing.table import (
    ABOUT,
    BATCHES,
    EXPIRE,
    INVALID,
    LENIENT,
    LISTS,
    METHODS,
    NOT_JSON,
    NOTIFICATIONS,
    PWD,
    RAISE_ERRORS,
    RAISES,
    SUBSCRIBE,
    SUBSCRIBERS,
    Row,
    call,
)

Ask = Callable[[bytes], Awaitable[bytes | None]]
"""Sends a request and returns its reply, or None once it is certain that none comes."""

_LIMIT_S: Final = 30.0


def _fail(_: Mapping[str, Any]) -> Any:
    raise RuntimeError("what a command should not do")


class _Twins:
    """Commands that share a short name, one that fails, and one that answers at any length."""

    @hookimpl
    def management_commands(self, commands: CommandTable) -> None:
        commands.add(Command("first:twin", ((),), lambda _: "first"))
        commands.add(Command("second:twin", ((),), lambda _: "second", aliases=("twin_of_old",)))
        commands.add(Command("first:either", (("a",), ("b",)), lambda params: next(iter(params))))
        commands.add(Command("first:fails", ((),), _fail))
        commands.add(Command("first:repeat", (("times",),), lambda params: "x" * int(params["times"])))


class _Unable:
    @hookimpl
    def start(self) -> None:
        raise ConnectionAbortedError("as if an address were in use")


class ManagementContract:
    """Tests that every management interface has to pass; subclass it, and define `plugin` and `travel`.

    ::

        class TestMine(ManagementContract):
            def plugin(self):
                return Mine(Options(port=0))

            @asynccontextmanager
            async def travel(self, events):
                async with connected(events.plugin("under-test").port) as connection:
                    yield connection.ask
    """

    not_json: ClassVar[bytes] = b'{"jsonrpc":"2.0","error":{"code":-32700,"message":"Parse error"},"id":null}'
    """The reply to what is not JSON."""
    longest_reply: ClassVar[int] = 1 << 20
    """A reply of so many bytes arrives."""

    def plugin(self) -> Any:
        """Return a new plugin object."""
        raise NotImplementedError

    def travel(self, events: EventInterface) -> AbstractAsyncContextManager[Ask]:
        """Return a function that sends requests to the interface, whose plugin is called ``under-test``."""
        raise NotImplementedError

    def _interface(self) -> EventInterface:
        shared = {"memory": MemoryTransport(), "mi": Management(ANY_SCHEME), "twins": _Twins()}
        events = EventInterface(plugins={**shared, "under-test": self.plugin()})
        events.register_event("E_A")
        events.register_event("E_B")
        return events

    async def _check(self, rows: Iterable[Row], subscribed: Mapping[str, int] | None = None) -> None:
        """Send each request to a new interface, where E_A has the subscribers *subscribed*, with their leases."""
        wrong = []
        for row in rows:
            async with asyncio.timeout(_LIMIT_S), self._interface() as events, self.travel(events) as ask:
                for socket, expire_s in (subscribed or {}).items():
                    events.subscribe_event("E_A", socket, expire_s)
                got = await ask(row.request)
                fits = row.reply.fullmatch(got or b"") if isinstance(row.reply, re.Pattern) else got == row.reply
                if not fits:
                    wrong.append(f"{row.request[:200]!r}: expected {row.reply!r}, got {got!r}")
        assert not wrong, "\n".join(wrong)

    async def test_not_json_q11(self) -> None:
        """Q-11: a text that is no JSON is answered."""
        await self._check(Row(request, self.not_json) for request in NOT_JSON)

    async def test_invalid_requests_q1(self) -> None:
        """Q-1: a request without a method, a scalar, a bad id: each is answered with its error."""
        await self._check(INVALID)

    async def test_lenient_requests(self) -> None:
        """Requests of all kinds of clients are understood, and their ids come back."""
        await self._check(LENIENT)

    async def test_notifications(self) -> None:
        """Notifications have no reply, and are carried out."""
        await self._check(NOTIFICATIONS)
        subscribe = b'{"jsonrpc":"2.0","method":"event_subscribe","params":["E_A","memory:a"]}'
        async with asyncio.timeout(_LIMIT_S), self._interface() as events, self.travel(events) as ask:
            assert await ask(subscribe) is None
            assert len(events.subscriptions) == 1

    async def test_batches_q1(self) -> None:
        """Q-1: each request of a batch has its answer; notifications have none."""
        await self._check(BATCHES)

    async def test_methods(self) -> None:
        """A command is found by its name, its short name if it is unique, and its old names."""
        await self._check(METHODS)

    async def test_about(self) -> None:
        """The commands about the others, the version and the process."""
        await self._check(ABOUT)

    async def test_subscribe_q7(self) -> None:
        """Q-7: every subscription is answered; a refusal always has the same text."""
        await self._check(SUBSCRIBE)

    async def test_refused_subscriptions_change_nothing(self) -> None:
        """Refused subscriptions make no subscriber."""
        async with asyncio.timeout(_LIMIT_S), self._interface() as events, self.travel(events) as ask:
            for row in SUBSCRIBE:
                if isinstance(row.reply, bytes) and b'"error"' in row.reply:
                    await ask(row.request)
            assert events.subscriptions == []

    async def test_expire_q13(self) -> None:
        """Q-13: every form of a number of seconds; too many are held within 32 bits."""
        async with asyncio.timeout(_LIMIT_S), self._interface() as events, self.travel(events) as ask:
            for text, seconds in EXPIRE:
                row = call("event_subscribe", f'["E_A","memory:a",{text}]', result='"OK"')
                assert await ask(row.request) == row.reply, text
                assert [lease.expire_s for lease in events.subscriptions] == [seconds], text
            row = call("event_subscribe", '["E_B","memory:a"]', result='"OK"')
            assert await ask(row.request) == row.reply
            assert events.subscriptions[-1].expire_s == 3600

    async def test_unsubscribe_q26(self) -> None:
        """Q-26: expire 0 ends a subscription at once, and is answered with OK when no subscription exists."""
        row = call("event_subscribe", '["E_A","memory:a",0]', result='"OK"')
        async with asyncio.timeout(_LIMIT_S), self._interface() as events, self.travel(events) as ask:
            events.subscribe_event("E_A", "memory:a")
            for _ in range(2):
                assert await ask(row.request) == row.reply
                assert events.subscriptions == []

    async def test_lists(self) -> None:
        """The lists of events and subscribers without a subscriber."""
        await self._check(LISTS)

    async def test_subscribers(self) -> None:
        """The three lists of subscribers."""
        await self._check(SUBSCRIBERS, {"memory:a": 0, "memory:b": 30})

    async def test_raise_errors(self) -> None:
        """Every raise that is refused has its code."""
        await self._check(RAISE_ERRORS, {"memory:a": 0})

    async def test_raise_q5_q6_q8(self) -> None:
        """Q-5, Q-6, Q-8: every form of parameters arrives as it was meant."""
        wrong = []
        for params, arrives in RAISES.items():
            async with asyncio.timeout(_LIMIT_S), self._interface() as events, self.travel(events) as ask:
                events.subscribe_event("E_A", "memory:a")
                row = call("raise_event", params, result='"OK"')
                assert await ask(row.request) == row.reply, params
                delivered = events.plugin("memory").delivered
                await until(partial(delivered.get, "a"), _LIMIT_S)
                payload = delivered["a"][0].payload
            if payload != b'{"jsonrpc":"2.0","method":"E_A"%b}' % (b"," + arrives if arrives else b""):
                wrong.append(f"{params}: expected {arrives!r}, got {payload!r}")
        assert not wrong, "\n".join(wrong)

    async def test_large_requests_and_replies_q11_q20(self) -> None:
        """Q-11, Q-20: requests far beyond the buffers of the original are answered, and so are long replies."""
        request_id = b"x" * 50_000
        async with asyncio.timeout(_LIMIT_S), self._interface() as events, self.travel(events) as ask:
            reply = await ask(b'{"jsonrpc":"2.0","method":"pwd","id":"%b"}' % request_id)
            assert reply == PWD + b'"%b"}' % request_id
            most = self.longest_reply - 100
            row = call("first:repeat", f"[{most}]", result=f'"{"x" * most}"')
            assert await ask(row.request) == row.reply

    async def test_requests_at_the_same_time(self) -> None:
        """Clients that ask at the same time all get their own replies."""
        async with asyncio.timeout(_LIMIT_S), self._interface() as events:

            async def ask_often(name: str) -> None:
                async with self.travel(events) as ask:
                    for number in range(10):
                        request_id = b'"%b-%d"' % (name.encode(), number)
                        reply = await ask(b'{"jsonrpc":"2.0","method":"pwd","id":%b}' % request_id)
                        assert reply == PWD + request_id + b"}"

            await asyncio.gather(*(ask_often(name) for name in "abcdef"))

    async def test_leaves_nothing(self) -> None:
        """After an interface is left, the process has no more tasks and open files than before."""
        await self._check(LISTS[:1])  # opens the files that are opened once for the process
        before = asyncio.all_tasks(), _open_files()
        async with asyncio.timeout(_LIMIT_S), self._interface() as events, self.travel(events) as ask:
            await ask(LISTS[0].request)
        await asyncio.sleep(0)
        assert (asyncio.all_tasks(), _open_files()) == before

    async def test_start_that_fails(self) -> None:
        """When another plugin cannot start, this plugin releases everything, and its address can be bound again."""
        await self._check(LISTS[:1])
        before = asyncio.all_tasks(), _open_files()
        # Hooks of the plugin that was added last are called first.
        events = EventInterface(plugins={"unable": _Unable(), "mi": Management(), "under-test": self.plugin()})
        with suppress(ConnectionAbortedError):
            async with events:
                raise AssertionError("expected an error of the start")
        await asyncio.sleep(0)
        assert (asyncio.all_tasks(), _open_files()) == before
        await self._check(LISTS[:1])


def _open_files() -> int:
    return len(os.listdir("/proc/self/fd"))
