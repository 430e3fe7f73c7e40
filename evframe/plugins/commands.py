"""Management commands: their names, the parameters they take, and the errors they answer."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import attrs

_DIGITS: Final = 1000
_NAME: Final = re.compile(r"[^\s:](\S*[^\s:])?")  # `which` takes a colon at the end for a group


class CommandError(Exception):
    """Answered as a JSON-RPC error.

    Args:
        code: the JSON-RPC or command-specific code.
        message: its text.
        data: more about it, or None.
    """

    def __init__(self, code: int, message: str, data: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.data = data


def invalid_params(data: str) -> CommandError:
    """Return the error -32602 with *data*."""
    return CommandError(-32602, "Invalid params", data)


def text_param(params: Mapping[str, Any], name: str) -> str:
    """Return a text parameter; a number gives its integer text."""
    value = params[name]
    if isinstance(value, float) and math.isfinite(value):
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str) or not value:
        raise invalid_params(f"Bad type for parameter '{name}'")
    return value


def int32(number: float) -> int:
    """Return *number* truncated and held within 32 bits."""
    return int(max(-(2**31), min(2**31 - 1, number)))


def int_param(params: Mapping[str, Any], name: str) -> int:
    """Return an integer parameter, truncated and held within 32 bits."""
    value = params[name]
    if isinstance(value, str):
        digits = value[1:] if value[:1] in {"+", "-"} else value
        if not digits.isascii() or not digits.isdigit():
            raise invalid_params(f"Bad type for parameter '{name}'")
        value = int(value[:_DIGITS])  # a number with more digits is beyond 32 bits anyhow
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise invalid_params(f"Bad type for parameter '{name}'")
    return int32(value)


@attrs.frozen
class Command:
    """One management command.

    *recipes* are the parameter lists that the command accepts. *run* gets the parameters by name, and returns a
    result with a JSON form, or the `asyncio.Future` of one that comes later, or raises `CommandError`. With
    *needs_interface*, *run* gets the name of the management interface of the request as its second argument. *named*
    are further parameter lists, which are accepted by name alone; *optional* are parameters that a request by name
    may have besides those of a list, and *refused* those for which *run* has a better error than that of an unknown
    one. *prepare* does the slow work on the parameters of a large request: it runs on a thread beside the loop and
    raises nothing, and *run* gets its result as the last argument.
    """

    name: str
    recipes: tuple[tuple[str, ...], ...]
    run: Callable[..., Any]
    help: str = ""
    aliases: tuple[str, ...] = ()
    needs_interface: bool = False
    named: tuple[tuple[str, ...], ...] = ()
    optional: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()
    prepare: Callable[[Mapping[str, Any]], Any] | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Every name that a client may call it by: canonical, short, and the aliases."""
        return (self.name, self.short, *self.aliases)

    @property
    def short(self) -> str:
        """The part of the name after the colon, or all of a name without one."""
        return self.name.partition(":")[2] or self.name

    @property
    def usage(self) -> str:
        """The parameter lists that it accepts, such as ``none; event``."""
        lists = "; ".join(", ".join(recipe) or "none" for recipe in (*self.recipes, *self.named))
        return f"{lists}; by name also {', '.join(self.optional)}" if self.optional else lists

    def params_of(self, given: list[Any] | dict[str, Any]) -> Mapping[str, Any]:
        """Return the parameters by name that a request has in order or by name.

        Raises:
            CommandError: -32602 if the parameters match no parameter list.
        """
        recipes = (*self.recipes, *self.named) if isinstance(given, dict) else self.recipes
        needed = given.keys() - {*self.optional, *self.refused} if isinstance(given, dict) else given
        fitting = [recipe for recipe in recipes if len(recipe) == len(needed)]
        if not fitting:
            raise invalid_params("Too few or too many parameters")
        if isinstance(given, dict):
            if not any(set(recipe) == needed for recipe in fitting):
                raise invalid_params("Named parameters do not match")
            return given
        if len(fitting) > 1:
            raise invalid_params("Ambiguous call, use named parameters instead")
        return dict(zip(fitting[0], given, strict=True))


class CommandTable:
    """The commands in the order they were added."""

    def __init__(self) -> None:
        self._by_name: dict[str, Command] = {}
        self._short: dict[str, list[Command]] = {}
        self._aliases: dict[str, Command] = {}

    def add(self, command: Command) -> None:
        """Add *command*, whose name is ``module:command``, or has no colon.

        Raises:
            ValueError: if a client cannot call its name or an alias, or another command has that name.
        """
        if command.name in self._by_name:
            raise ValueError(f"expected a new command, got {command.name!r} again")
        for name in (command.name, *command.aliases):
            self._check(name)
        self._by_name[command.name] = command
        self._short.setdefault(command.short, []).append(command)
        for alias in command.aliases:
            self._aliases[alias] = command

    def _check(self, name: object) -> None:
        if not isinstance(name, str) or not _NAME.fullmatch(name) or not name.isprintable():
            raise ValueError(f"expected the name of a command, such as 'module:command', got {name!r}")
        other = self._by_name.get(name) or self._aliases.get(name)
        if other is not None:
            raise ValueError(f"expected a new name of a command, got {name!r}, which {other.name!r} has")

    def remove(self, name: str) -> None:
        """Remove the command with the canonical *name*."""
        command = self._by_name.pop(name)
        self._short[command.short].remove(command)
        for alias in command.aliases:
            if self._aliases.get(alias) is command:
                del self._aliases[alias]

    def __iter__(self) -> Iterator[Command]:
        return iter(self._by_name.values())

    def find(self, name: str) -> Command:
        """Return the command called *name*: canonical, short if it is unique, or an alias.

        Raises:
            CommandError: -32601 when there is none, -32001 when several share the short name.
        """
        found = self._by_name.get(name)
        if found is None and ":" in name:
            found = self._aliases.get(name)
        elif found is None:
            sharing = self._short.get(name, [])
            if len(sharing) > 1:
                names = ", ".join(command.name for command in sharing)
                raise CommandError(-32001, "Method ambiguous", f"supported names: {names}")
            found = sharing[0] if sharing else self._aliases.get(name)
        if found is None:
            raise CommandError(-32601, "Method not found")
        return found
