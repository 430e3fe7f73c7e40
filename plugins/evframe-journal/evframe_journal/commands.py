"""The management commands about dead letters: list, show, replay and drop them."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import attrs
from evframe_wire.payload import Pairs
from evframe_wire.reading import read

from evframe import SocketError
from evframe.plugin import Address, Command, CommandError, ForbiddenError, int_param, invalid_params, text_param
from evframe_journal.dead import DeadLetters, last_id, look
from evframe_journal.letters import STEP, Filter, Letter
from evframe_journal.replay import MOST_RATE, Replay, Replays

if TYPE_CHECKING:
    from evframe.plugin import PluginContext
    from evframe_journal.dead import Reading
    from evframe_journal.frames import EventOf

_FILTERS: Final = ("socket", "event", "reason", "older_s", "newer_s")
_LISTED: Final = 100
_MOST_LISTED: Final = 1000
_MOST_IDS: Final = 1000
_RATE: Final = 1000
_DIGITS: Final = 20  # a number with more is beyond 64 bits anyhow
_WRITE_S: Final = 10.0
_NOT_FOUND: Final = "Letter not found"


@attrs.frozen(kw_only=True)
class Access:
    """What the commands use of the plugin."""

    letters: DeadLetters
    replays: Replays
    context: Callable[[], PluginContext]
    reading: Callable[[], Reading | None]
    """Returns the file; None when there is none. CommandError when it cannot be used."""
    event_of: EventOf
    wall: Callable[[], float] = time.time


def dead_letter_commands(access: Access) -> Iterator[Command]:
    """Yield the commands."""
    dead = _DeadLetters(access)
    yield Command(
        "dead_letters:list",
        ((),),
        dead.list,
        "lists the events that have failed for good, the oldest first",
        optional=(*_FILTERS, "limit", "after"),
    )
    yield Command("dead_letters:show", (("id",),), dead.show, "shows a dead letter with its payload")
    yield Command(
        "dead_letters:replay",
        (("ids",),),
        dead.replay,
        "sends dead letters again, to their sockets or to another one",
        needs_interface=True,
        named=((),),
        optional=(*_FILTERS, "rate", "to"),
    )
    yield Command("dead_letters:replays", ((),), dead.list_replays, "lists the replays of dead letters")
    yield Command("dead_letters:stop", (("id",),), dead.stop, "ends a replay; the letters that it has left stay")
    yield Command("dead_letters:drop", (("ids",),), dead.drop, "drops dead letters", named=((),), optional=_FILTERS)


class _DeadLetters:
    def __init__(self, access: Access) -> None:
        self._access = access

    # Each command reads its parameters before anything changes.

    def list(self, params: Mapping[str, Any]) -> asyncio.Future[Any]:
        limit = _number(params, "limit", _LISTED, 1, _MOST_LISTED)
        after = _id(params["after"], "after") if "after" in params else 0
        return self._later(self._list(self._filter(params), after, limit))

    async def _list(self, wanted: Filter, after: int, limit: int) -> dict[str, Any]:
        reading = self._access.reading()
        found: list[Letter] = []
        next_: int | None = None if reading is None else after
        while reading is not None and next_ is not None and len(found) < limit:
            page = await look(reading, wanted, next_, limit - len(found), whole=False)
            found += page.letters
            next_ = page.next
        return {"Letters": [_listed(letter) for letter in found], "next": next_}

    def show(self, params: Mapping[str, Any]) -> asyncio.Future[Any]:
        return self._later(self._show(_id(params["id"], "id")))

    async def _show(self, number: int) -> dict[str, Any]:
        reading = self._access.reading()
        letters = () if reading is None else (await look(reading, Filter((number,)), 0, 1, whole=True)).letters
        if not letters:
            raise CommandError(404, _NOT_FOUND)
        (letter,) = letters
        notification = read(letter.payload)
        members = dict(notification) if isinstance(notification, Pairs) else notification
        text = letter.payload.decode("utf-8", "surrogateescape")
        return {"Letter": {**_listed(letter), "payload": text, "params": members.get("params")}}

    def replay(self, params: Mapping[str, Any], interface: str) -> asyncio.Future[Any]:
        wanted = self._chosen(params)
        rate = _number(params, "rate", _RATE, 1, MOST_RATE)
        target = None
        if "to" in params:
            try:
                target = self._permitted(text_param(params, "to"), interface)
            except SocketError as error:
                raise _bad(f"to: {error}") from None
        return self._later(self._replay(wanted, rate, target, interface))

    async def _replay(self, wanted: Filter, rate: int, target: Address | None, interface: str) -> dict[str, Any]:
        access = self._access
        reading = access.reading()
        if reading is None:
            raise CommandError(404, _NOT_FOUND)

        def address_of(socket: str) -> Address:
            return target or self._present(socket) or self._permitted(socket, interface)

        replay = access.replays.start(
            access.context().spawn,
            wanted=attrs.evolve(wanted, up_to=await last_id(reading)),
            rate=rate,
            to=None if target is None else target.socket.canonical,
            address_of=address_of,
            letters=access.letters,
            reading=reading,
            roster=access.context().roster,
            event_of=access.event_of,
        )
        return {"Replay": _progress(replay)}

    def _present(self, socket: str) -> Address | None:
        """Return the address of a subscriber that has a lease, with its secrets."""
        subscriber = self._access.context().roster.by_socket.get(socket)
        if subscriber is None or not subscriber.leases:
            return None
        return Address(subscriber.socket, subscriber.transport, subscriber.text)

    def _permitted(self, socket: str, interface: str) -> Address:
        """Return the address of a socket that clients of *interface* may have events sent to."""
        context = self._access.context()
        address = context.transports.parse(socket)
        if not context.plugins.decide("check_target", socket=address.socket, interface=interface):
            raise ForbiddenError("schemes", address.socket.canonical, "expected a plugin that checks sockets")
        return address

    def list_replays(self, _: Mapping[str, Any]) -> dict[str, Any]:
        return {"Replays": [_progress(replay) for replay in self._access.replays.all.values()]}

    def stop(self, params: Mapping[str, Any]) -> str:
        if not self._access.replays.stop(int_param(params, "id")):
            raise CommandError(404, "Replay not found")
        return "OK"

    def drop(self, params: Mapping[str, Any]) -> asyncio.Future[Any]:
        return self._later(self._drop(self._chosen(params)))

    async def _drop(self, wanted: Filter) -> dict[str, Any]:
        reading = self._access.reading()
        if reading is None:
            raise CommandError(404, _NOT_FOUND)
        wanted = attrs.evolve(wanted, up_to=await last_id(reading))
        letters, dropped = self._access.letters, 0
        after: int | None = 0
        while after is not None:
            page = await look(reading, wanted, after, STEP, whole=False)
            after = page.next
            free = [letter.id for letter in page.letters if letter.id not in letters.claimed]
            if free:
                over = asyncio.Event()
                letters.remove_all(free, over.set)
                async with asyncio.timeout(_WRITE_S):
                    await over.wait()
            dropped += len(free)
        if wanted.ids and not dropped:
            raise CommandError(404, _NOT_FOUND)
        return {"Dropped": dropped}

    def _chosen(self, params: Mapping[str, Any]) -> Filter:
        wanted = self._filter(params)
        if wanted.is_empty:
            raise _bad("expected ids or a filter, such as socket=*")
        return wanted

    def _filter(self, params: Mapping[str, Any]) -> Filter:
        now = self._access.wall()
        older, newer = (_seconds(params, name) for name in ("older_s", "newer_s"))
        socket, event, reason = (text_param(params, name) if name in params else None for name in _FILTERS[:3])
        return Filter(
            _ids(params["ids"]) if "ids" in params else (),
            socket,
            event,
            reason,
            None if older is None else now - older,
            None if newer is None else now - newer,
        )

    def _later(self, work: Coroutine[Any, Any, Any]) -> asyncio.Future[Any]:
        """Return the future of what *work* returns; it has an error when the interface is left before."""
        result: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

        async def run() -> None:
            try:
                result.set_result(await work)
            except CommandError as error:
                result.set_exception(error)
            except (OSError, sqlite3.Error, ValueError) as error:  # a TimeoutError, too, which has no text
                result.set_exception(CommandError(503, "Journal not available", str(error) or "the disk is too slow"))
            finally:
                work.close()
                if not result.done():
                    result.set_exception(CommandError(503, "Journal not available", "the interface is left"))

        self._access.context().spawn(run())
        return result


def _bad(problem: str) -> CommandError:
    return CommandError(400, "Bad parameter value", problem)


def _number(params: Mapping[str, Any], name: str, default: int, least: int, most: int) -> int:
    if name not in params:
        return default
    number = int_param(params, name)
    if not least <= number <= most:
        raise _bad(f"{name}: expected {least} to {most}, got {number}")
    return number


def _seconds(params: Mapping[str, Any], name: str) -> int | None:
    return _number(params, name, 0, 0, 2**31 - 1) if name in params else None


def _ids(given: Any) -> tuple[int, ...]:
    """Return the ids in an array, or in a text with commas, ascending."""
    parts = given.split(",") if isinstance(given, str) else given if isinstance(given, list) else [given]
    if not 0 < len(parts) <= _MOST_IDS:
        raise _bad(f"ids: expected 1 to {_MOST_IDS} ids, got {len(parts)}")
    return tuple(sorted({_id(part.strip() if isinstance(part, str) else part, "ids") for part in parts}))


def _id(given: Any, name: str) -> int:
    """Return the id of a letter, which may have more than the 32 bits of other numbers."""
    if isinstance(given, str) and given.isascii() and given.isdigit():
        given = int(given[:_DIGITS])
    if isinstance(given, bool) or not isinstance(given, int) or not 0 <= given < 2**63:
        raise invalid_params(f"Bad type for parameter '{name}'")
    return given


def _listed(letter: Letter) -> dict[str, Any]:
    return {
        "id": letter.id,
        "at": _text_of(letter.at),
        "first_raised": _text_of(letter.first_raised),
        "event": letter.event,
        "socket": letter.socket,
        "reason": letter.reason,
        "detail": letter.detail,
        "attempts": letter.attempts,
        "bytes": letter.size,
    }


def _text_of(at: float) -> str:
    try:
        time = datetime.fromtimestamp(at, UTC)
    except (ValueError, OverflowError, OSError):  # the wall clock was outside of what a date can be
        return f"{at:.3f}"
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _progress(replay: Replay) -> dict[str, Any]:
    progress: dict[str, Any] = {
        "id": replay.number,
        "state": "over" if replay.is_over else "running",
        "delivered": replay.delivered,
        "failed": replay.failed,
        "left": replay.left,
        "under_way": replay.under_way,
    }
    if replay.problem:
        progress["problem"] = replay.problem
    return progress
