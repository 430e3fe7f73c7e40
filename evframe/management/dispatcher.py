"""From the bytes of a request to the bytes of its response (`reference/core.md` §8)."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping
from typing import Any, Final

import orjson

from evframe.calls import comes_from_outside
from evframe.events.reading import read_first
from evframe.exceptions import ForbiddenError
from evframe.log_limit import LogLimiter
from evframe.management.commands import Command, CommandError, CommandTable, int32, invalid_params
from evframe.payload import Pairs
from evframe.subscriptions.policy import Policies

log = logging.getLogger("evframe.management")
INVALID: Final = CommandError(-32600, "Invalid Request")


def _first_of_each(members: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """Return the members of an object; of those with the same name the first one counts (§8.1)."""
    found: dict[str, Any] = {}
    for name, value in members:
        found.setdefault(name, value)
    return found


class Dispatcher:
    """Answers JSON-RPC 2.0 requests, notifications and batches with the commands of a table, as the policy permits.

    Args:
        commands: the table.
        policies: of all management interfaces.
        interface: the name of the one that its requests come by.
    """

    def __init__(self, commands: CommandTable, policies: Policies, interface: str = "") -> None:
        self._commands = commands
        self._policies = policies
        self._interface = interface
        self._limiter = LogLimiter()

    def of(self, interface: str) -> Dispatcher:
        """Return the dispatcher of one management interface, whose own table may narrow the policy."""
        return Dispatcher(self._commands, self._policies, interface)

    def handle(self, request: bytes) -> bytes | None:
        """Return the response to *request*, or None when it wants none.

        Every request gets an answer of the protocol; nothing that a request holds raises.
        """
        try:
            message = read_first(request)
        except ValueError:
            return PARSE_ERROR
        if isinstance(message, list) and message:
            answers = [answer for item in message if (answer := self._answer(item)) is not None]
            return _dump(answers) if answers else None
        response = self._answer(message)
        return None if response is None else _dump(response)

    def _answer(self, message: Any) -> dict[str, Any] | None:
        pairs = message.items() if isinstance(message, dict) else message if isinstance(message, Pairs) else ()
        members = _first_of_each((str(name).lower(), value) for name, value in pairs)
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
            return _failure(INVALID, request_id if known_id else None)
        try:
            result = self._run(method, params)
        except CommandError as error:
            return _failure(error, request_id) if "id" in members else None
        return {"jsonrpc": "2.0", "result": result, "id": request_id} if "id" in members else None

    def _run(self, method: str, params: list[Any] | dict[str, Any] | Pairs) -> Any:
        command = self._commands.find(method)
        policy = self._policies.of(self._interface)
        try:
            policy.check_command(command.names)
            named = _by_name(command, params)
            return command.run(named, policy) if command.needs_policy else command.run(named)
        except CommandError:
            raise
        except ForbiddenError as error:
            self._policies.record(policy, error)
            raise CommandError(400, "Bad Params" if error.rule == "raise_events" else "Bad parameter value") from None
        except BaseException as error:
            if comes_from_outside(error):
                raise
            repeated = self._limiter.due((command.name, type(error)))
            if repeated is not None:
                extra = {"command": command.name, "repeated": repeated}
                log.exception("a management command raised an error", extra=extra)
            raise CommandError(-32000, "Server error", "Command handler returned null") from error


def unsendable(response: bytes, most_bytes: int) -> bytes:
    """Return the error that stands for a *response* which the way to the client cannot carry.

    Args:
        response: of `Dispatcher.handle`.
        most_bytes: what can be carried; the id of the response is part of the error if it fits.
    """
    answer = json.loads(response)
    error = CommandError(-32000, "Server error", f"Reply of {len(response)} bytes, the most is {most_bytes}")
    failure = _dump(_failure(error, answer.get("id") if isinstance(answer, dict) else None))
    return failure if len(failure) <= most_bytes else _dump(_failure(error, None))


def _dump(answer: Any) -> bytes:
    try:
        return orjson.dumps(answer)
    except TypeError:  # text from the request that is not valid Unicode
        return json.dumps(answer, separators=(",", ":")).encode()


def _by_name(command: Command, params: list[Any] | dict[str, Any] | Pairs) -> Mapping[str, Any]:
    if isinstance(params, Pairs):
        params = _first_of_each((name or "", value) for name, value in params)
    recipes = (*command.recipes, *command.named) if isinstance(params, dict) else command.recipes
    fitting = [recipe for recipe in recipes if len(recipe) == len(params)]
    if not fitting:
        raise invalid_params("Too few or too many parameters")
    if isinstance(params, dict):
        if not any(set(recipe) == set(params) for recipe in fitting):
            raise invalid_params("Named parameters do not match")
        return params
    if len(fitting) > 1:
        raise invalid_params("Ambiguous call, use named parameters instead")
    return dict(zip(fitting[0], params, strict=True))


def _failure(error: CommandError, request_id: Any) -> dict[str, Any]:
    body: dict[str, Any] = {"code": error.code, "message": error.message}
    if error.data is not None:
        body["data"] = error.data
    return {"jsonrpc": "2.0", "error": body, "id": request_id}


PARSE_ERROR: Final = _dump(_failure(CommandError(-32700, "Parse error"), None))
"""The response to what is not JSON."""
