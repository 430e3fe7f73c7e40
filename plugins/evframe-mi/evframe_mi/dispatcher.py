"""Answers the bytes of a request with the bytes of its response (`docs/reference/management-protocol.md`)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Hashable, Iterable, Mapping
from contextlib import suppress
from contextvars import Context
from functools import partial
from itertools import zip_longest
from typing import Any, Final

import attrs
from evframe_wire.payload import Pairs
from evframe_wire.reading import NestingError, read_first

from evframe.plugin import (
    Command,
    CommandError,
    CommandTable,
    ForbiddenError,
    LogLimiter,
    comes_from_outside,
    int32,
)
from evframe_mi.policy import Policies
from evframe_mi.responses import NESTED, NO_JSON, PARSE_ERROR, Response, failure, unsendable
from evframe_mi.turns import Steps, Turns, in_context

log = logging.getLogger("evframe.management")
__all__ = ["PARSE_ERROR", "Dispatcher", "unsendable"]
INVALID: Final = CommandError(-32600, "Invalid Request")
_LARGE_BYTES: Final = 8 << 10  # a request that takes more than a few milliseconds to read and to prepare


@attrs.frozen
class _Unreadable:
    """A request that cannot be read, with its answer."""

    answer: dict[str, Any]


def _read(request: bytes) -> Any:
    try:
        return read_first(request)
    except NestingError:
        is_whole = request.rstrip().endswith((b"]", b"}"))  # a text without its end is no JSON, whatever its nesting
        return _Unreadable(NESTED if is_whole else NO_JSON)
    except ValueError:
        return _Unreadable(NO_JSON)


def _first_of_each(members: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """Return the members of an object; the first one of several members with the same name counts."""
    found: dict[str, Any] = {}
    for name, value in members:
        found.setdefault(name, value)
    return found


def _members(message: Any) -> dict[str, Any]:
    """Return the members of a request by their names in small letters; none if the request is no object."""
    pairs = message.items() if isinstance(message, dict) else message if isinstance(message, Pairs) else ()
    return _first_of_each((str(name).lower(), value) for name, value in pairs)


class Dispatcher:
    """Answers JSON-RPC 2.0 requests, notifications and batches with the commands of a table, as the policy permits.

    Args:
        commands: the table.
        policies: of all management interfaces.
        interface: the name of the management interface of the requests.
        turns: the turns of the clients of all interfaces.
    """

    def __init__(
        self, commands: CommandTable, policies: Policies, interface: str = "", turns: Turns | None = None
    ) -> None:
        self._commands = commands
        self._policies = policies
        self._interface = interface
        self._turns = Turns() if turns is None else turns
        self._limiter = LogLimiter()

    def of(self, interface: str) -> Dispatcher:
        """Return the dispatcher of one management interface, whose own table may narrow the policy."""
        return Dispatcher(self._commands, self._policies, interface, self._turns)

    def handle(self, request: bytes) -> bytes | None:
        """Return the response to *request* at once, or None for a notification.

        Every request gets an answer of the protocol; no content of a request raises an error.

        Raises:
            RuntimeError: if a command has its result later; `answer` waits for that.
        """
        steps = self.steps(request)
        while True:
            try:
                if next(steps) is not None:
                    raise RuntimeError("expected a command that has its result at once")
            except StopIteration as end:
                return end.value  # type: ignore[no-any-return] # the return value of the generator

    async def answer(
        self,
        request: bytes,
        client: Hashable,
        *,
        pretty: bool = False,
        most_bytes: int | None = None,
        context: Context | None = None,
    ) -> bytes | None:
        """Return the response to *request*, as `handle` does, while the loop serves other clients.

        Args:
            request: the bytes of the request.
            client: the sender; the requests of one client are answered in order, and clients take turns.
            pretty: one member per line.
            most_bytes: the longest response that can be carried to the client.
            context: what the request is run in, such as the one in which it raises events; None for none.
        """
        return await self.submit(request, client, pretty=pretty, most_bytes=most_bytes, context=context)

    def submit(
        self,
        request: bytes,
        client: Hashable,
        *,
        pretty: bool = False,
        most_bytes: int | None = None,
        context: Context | None = None,
    ) -> asyncio.Future[bytes | None]:
        """Return the future of the response to *request*; see `answer`."""
        if len(request) <= _LARGE_BYTES:
            steps = self.steps(request, pretty=pretty, most_bytes=most_bytes)
            return self._turns.put(client, steps if context is None else in_context(steps, context))
        large = self._steps_of_large(request, context, pretty=pretty, most_bytes=most_bytes)
        return self._turns.put(client, asyncio.get_running_loop().create_task(large, context=context))

    async def _steps_of_large(
        self, request: bytes, context: Context | None, *, pretty: bool, most_bytes: int | None
    ) -> Steps:
        """Read and prepare *request* beside the loop, and return the steps that answer it."""
        message, prepared = await self._turns.aside(partial(self._prepare, request))
        steps = self._steps(message, prepared, pretty=pretty, most_bytes=most_bytes)
        return steps if context is None else in_context(steps, context)

    def _prepare(self, request: bytes) -> tuple[Any, list[Any]]:
        """Return the content of *request*, and the prepared values of each request in it; from any thread."""
        message = _read(request)
        each = message if isinstance(message, list) else [message]
        return message, [self._prepared(item) for item in each[: self._policies.options.batch_requests]]

    def _prepared(self, message: Any) -> Any:
        members = _members(message)
        method, params = members.get("method"), members.get("params", [])
        if not isinstance(method, str) or not isinstance(params, list | dict | Pairs):
            return None
        with suppress(CommandError):  # `_run` raises the error again, which is then answered
            command = self._commands.find(method)
            return command.prepare(_named(command, params)) if command.prepare is not None else None
        return None

    def steps(self, request: bytes, *, pretty: bool = False, most_bytes: int | None = None) -> Steps:
        """Answer *request* a step at a time, and return the response; a step is a request of a batch, or a slice."""
        return (yield from self._steps(_read(request), [], pretty=pretty, most_bytes=most_bytes))

    def _steps(self, message: Any, prepared: list[Any], *, pretty: bool, most_bytes: int | None) -> Steps:
        options = self._policies.options
        most = options.answer_bytes if most_bytes is None else min(most_bytes, options.answer_bytes)
        response = Response(most, pretty=pretty)
        if isinstance(message, _Unreadable):
            return response.whole(message.answer)
        if not isinstance(message, list) or not message:
            return (yield from self._answer(message, prepared[0] if prepared else None, response))
        if len(message) > options.batch_requests:
            problem = f"Batch of {len(message)} requests, the most is {options.batch_requests}"
            return response.whole(failure(CommandError(-32600, "Invalid Request", problem), None))
        answers: list[bytes] = []
        for item, ready in zip_longest(message, prepared):
            answer = yield from self._answer(item, ready, response)
            if answer is not None:
                answers.append(answer)
            yield None
        return response.batch(answers) if answers else None

    def _answer(self, message: Any, prepared: Any, response: Response) -> Steps:
        """Run one request, and return the text of its answer; None for a notification."""
        members = _members(message)
        request_id = members.get("id")
        known_id = request_id is None or (
            isinstance(request_id, str | int | float) and not isinstance(request_id, bool)
        )
        if isinstance(request_id, int | float) and known_id:
            request_id = int32(request_id)
        method = members.get("method")
        params = members.get("params", [])
        if (
            members.get("jsonrpc") != "2.0"
            or not isinstance(method, str)
            or not known_id
            or not isinstance(params, list | dict | Pairs)
        ):
            return response.failure(INVALID, request_id if known_id else None)
        try:
            result = self._run(method, params, prepared)
            if isinstance(result, asyncio.Future):
                while not result.done():
                    yield result
                result = result.result()
            if "id" not in members:
                return None
            return (yield from response.result(result, request_id))
        except CommandError as error:
            return response.failure(error, request_id) if "id" in members else None
        except GeneratorExit:
            raise
        except BaseException as error:
            if comes_from_outside(error):
                raise
            return response.failure(self._failed(method, error), request_id)

    def _run(self, method: str, params: list[Any] | dict[str, Any] | Pairs, prepared: Any) -> Any:
        command = self._commands.find(method)
        policy = self._policies.of(self._interface)
        try:
            policy.check_command(command.names)
            named = _named(command, params)
            more = (self._interface,) if command.needs_interface else ()
            return command.run(named, *more) if prepared is None else command.run(named, *more, prepared)
        except CommandError:
            raise
        except ForbiddenError as error:
            self._policies.record(policy, error)
            raise CommandError(400, "Bad Params" if error.rule == "raise_events" else "Bad parameter value") from None
        except BaseException as error:
            if comes_from_outside(error):
                raise
            raise self._failed(command.name, error) from error

    def _failed(self, command: str, error: BaseException) -> CommandError:
        """Log the error of a command, unless it was logged a moment ago, and return the error for the answer."""
        repeated = self._limiter.due((command, type(error)))
        if repeated is not None:
            extra = {"command": command, "repeated": repeated}
            log.error("a management command raised an error", exc_info=error, extra=extra)
        return CommandError(-32000, "Server error", "Command handler returned null")


def _named(command: Command, params: list[Any] | dict[str, Any] | Pairs) -> Mapping[str, Any]:
    if isinstance(params, Pairs):
        params = _first_of_each((name or "", value) for name, value in params)
    return command.params_of(params)
