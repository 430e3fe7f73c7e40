"""Management commands of transports: the workers answer them, because they have the files and the connections."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import attrs

from evframe.plugin import CommandError
from evframe_workers import messages

if TYPE_CHECKING:
    from evframe.plugin import Command, CommandTable
    from evframe_workers.link import Link

log = logging.getLogger("evframe.workers")
_ENDED: Final = "a worker has ended"
Answer = tuple[bool, Any]
"""Whether a command has succeeded, and its result or the parts of its error."""


class Forwarding:
    """Has every worker run a command; the first success is the answer, and the front's own one when none succeeds.

    Args:
        links: to the workers.
    """

    def __init__(self, links: Sequence[Link]) -> None:
        self._links = links
        self._number = 0
        self._open: dict[tuple[int, int], asyncio.Future[Answer]] = {}  # by worker and number of the call

    def take_over(self, table: CommandTable, names: Iterable[str]) -> None:
        """Exchange the commands called *names* in *table* for those that ask the workers."""
        for command in [each for each in table if each.name in names]:
            if command.prepare is None and not isinstance(command.run, partial):
                table.remove(command.name)
                table.add(attrs.evolve(command, run=partial(self._run, command)))

    def _run(self, command: Command, *arguments: Any) -> asyncio.Future[Any]:
        return asyncio.ensure_future(self._ask(command, arguments))

    async def _ask(self, command: Command, arguments: Sequence[Any]) -> Any:
        self._number += 1
        loop = asyncio.get_running_loop()
        for worker, link in enumerate(self._links):
            if link.is_attached:
                self._open[worker, self._number] = loop.create_future()
                link.send(messages.json_message(messages.COMMAND, [self._number, command.name, arguments]))
        calls = [future for (_, number), future in self._open.items() if number == self._number]
        for is_done, value in await asyncio.gather(*calls):
            if is_done:
                return value
        result = command.run(*arguments)
        return await result if isinstance(result, asyncio.Future) else result

    def take(self, worker: int, content: bytes) -> None:
        """Take an answer."""
        number, is_done, value = messages.read_json(content)
        future = self._open.pop((worker, number), None)
        if future is not None and not future.done():
            future.set_result((is_done, value))

    def end(self, worker: int) -> None:
        """Answer what a worker that has ended was asked."""
        for key in [key for key in self._open if key[0] == worker]:
            future = self._open.pop(key)
            if not future.done():  # given up by its client
                future.set_result((False, _ENDED))


def answer(table: CommandTable, content: bytes, write: Callable[[bytes], object]) -> None:
    """Run a command in a worker, and send the answer now or when it comes."""
    number, name, arguments = messages.read_json(content)

    def send(is_done: bool, value: Any) -> None:  # noqa: FBT001 as in the message
        write(messages.json_message(messages.RESULT, [number, is_done, value]))

    def over(future: asyncio.Future[Any]) -> None:
        error = asyncio.CancelledError() if future.cancelled() else future.exception()
        try:
            send(error is None, future.result() if error is None else str(error))
        except TypeError as unfit:
            send(False, str(unfit))

    try:
        result = table.find(name).run(*arguments)
        if isinstance(result, asyncio.Future):
            result.add_done_callback(over)
        else:
            send(True, result)
    except CommandError as error:
        send(False, str(error))
    except Exception as error:  # of any plugin: the command of the front says what is wrong
        log.warning("a command has failed in a worker", extra={"command": name}, exc_info=error)
        send(False, str(error))


def raised(content: bytes) -> tuple[str, float, bytes]:
    """Return the name of an event that a worker has raised, when it was raised, and its payload."""
    head, _, payload = content.partition(b"\0")
    name, at = messages.read_json(head)
    return name, at, payload


def raised_message(name: str, raised_at: float, payload: bytes) -> bytes:
    """Return the message that an event was raised in a worker."""
    return messages.packed(messages.RAISED, b"\0".join((messages.encoded([name, raised_at]), payload)))
