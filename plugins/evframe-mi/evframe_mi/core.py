"""The commands that every client expects, besides the commands of modules."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from importlib.metadata import version
from typing import Any

from evframe import ConfigError
from evframe.plugin import Command, CommandError, CommandTable, PluginContext, describe_changes, text_param
from evframe_mi.log_levels import LogLevels
from evframe_mi.policy import Policies

_UNKNOWN = CommandError(404, "unknown MI command")


def core_commands(context: Callable[[], PluginContext], policies: Policies) -> Iterator[Command]:
    """Yield the ``core:`` commands; *context* returns the context of the plugin."""
    about = _About(context, policies)
    yield Command(
        "core:which",
        ((), ("command",)),
        about.which,
        "lists the commands that may be called, or the parameters of one",
        needs_interface=True,
    )
    yield Command("core:help", ((), ("mi_cmd",)), about.help, "shows what a command does")
    yield Command(
        "core:version",
        ((), ("revision",)),
        _version,
        "prints the version of OpenSIPS whose clients work here, with revision that of evframe too",
    )
    yield Command("core:pwd", ((),), lambda _: {"WD": os.getcwd()}, "prints the working directory")
    yield Command("core:uptime", ((),), _uptime(), "prints how long the server has been up")
    yield Command("core:ps", ((),), _ps, "lists the processes")
    yield LogLevels(context).command()
    yield Command(
        "core:reload", ((),), partial(_reload, context), "loads the configuration again: all of it, or nothing"
    )


def _reload(context: Callable[[], PluginContext], _: Mapping[str, Any]) -> dict[str, Any]:
    try:
        return {"Changes": describe_changes(context().host.reload())}
    except ConfigError as error:
        raise CommandError(400, "Bad configuration", "\n".join(error.problems)) from None


class _About:
    def __init__(self, context: Callable[[], PluginContext], policies: Policies) -> None:
        self._context = context
        self._policies = policies

    @property
    def _table(self) -> CommandTable:
        return self._context().commands

    def which(self, params: Mapping[str, Any], interface: str) -> list[Any]:
        name = text_param(params, "command") if "command" in params else ""
        if not name or name.endswith(":"):
            policy = self._policies.of(interface)
            permitted = [command.name for command in self._table if policy.permits_command(command.names)]
            return [known for known in permitted if known.startswith(name)]
        return [list(recipe) for recipe in self._find(name).recipes]

    def help(self, params: Mapping[str, Any]) -> Any:
        if "mi_cmd" not in params:
            return "Usage: help mi_cmd - returns information about 'mi_cmd'"
        command = self._find(text_param(params, "mi_cmd"))
        text = command.help or "not available for this command"
        if any(command.recipes):
            text += f"; parameters: {command.usage}"
        return {"Help": text, "Exported by": command.name.rpartition(":")[0] or "evframe"}

    def _find(self, name: str) -> Command:
        try:
            return self._table.find(name)
        except CommandError:
            raise _UNKNOWN from None


def _version(params: Mapping[str, Any]) -> dict[str, str]:
    # Clients search for "OpenSIPS (major.minor.patch" and choose their dialect by this version.
    answer = {"Server": f"OpenSIPS (4.1.0-evframe ({platform.machine()}/linux))"}
    if "revision" in params:
        text_param(params, "revision")  # every value of the parameter means the same
        answer["Revision"] = f"evframe {version('evframe')}"
    return answer


def _ps(_: Mapping[str, Any]) -> dict[str, Any]:
    return {"Processes": [{"ID": 0, "PID": os.getpid(), "Type": "evframe"}]}


def _uptime() -> Callable[[Mapping[str, Any]], dict[str, str]]:
    since = time.time()
    started = time.monotonic()

    def uptime(_: Mapping[str, Any]) -> dict[str, str]:
        return {
            "Now": time.ctime(),
            "Up since": time.ctime(since),
            "Up time": f"{int(time.monotonic() - started)} [sec]",
        }

    return uptime
