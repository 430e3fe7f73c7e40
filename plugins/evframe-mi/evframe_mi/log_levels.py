"""The command `core:log_level`: up to which level lines are logged, while the process runs."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

from evframe.plugin import Command, CommandError, PluginContext, int_param, invalid_params, text_param

log = logging.getLogger("evframe.mi")
# The numbers of OpenSIPS, the level of `logging` for each, and its names. Python has no ALERT, and no NOTICE: a level
# in between keeps each number distinct, and CRITICAL is logged at all of them.
_LEVELS: Final = {
    4: (logging.DEBUG, "debug"),
    3: (logging.INFO, "info"),
    2: (logging.INFO + 5, "notice"),
    1: (logging.WARNING, "warning"),
    0: (logging.WARNING + 5, ""),
    -1: (logging.ERROR, "error"),
    -2: (logging.CRITICAL - 5, "critical"),
    -3: (logging.CRITICAL, "alert"),
}
_BY_NAME: Final = {name: number for number, (_, name) in _LEVELS.items() if name}
_INHERITED: Final = "default"
_FOLDED: Final = logging.CRITICAL + 1  # a library whose lines are left out, unless the log is at DEBUG
_SERVICE: Final = "evframe"  # what evframe logs in a service, whose other loggers are not those of evframe


class LogLevels:
    """Reads and sets the levels of the loggers of this process.

    Args:
        context: returns the context of the plugin.
    """

    def __init__(self, context: Callable[[], PluginContext]) -> None:
        self._context = context
        self._own: set[str] = set()  # loggers with a level that the command has set

    def command(self) -> Command:
        """Return the command."""
        return Command(
            "core:log_level",
            ((), ("level",), ("level", "pid")),
            self._run,
            "gets or sets up to which level lines are logged, -3 (alert) to 4 (debug) or a name such as debug; with"
            " logger, for that logger alone, where the level default takes it back",
            optional=("logger",),
        )

    def _run(self, params: Mapping[str, Any]) -> Any:
        logger = _logger(text_param(params, "logger")) if "logger" in params else None
        if logger is not None and not self._may_change(logger.name):
            raise CommandError(400, "Bad parameter value", f"expected a logger of evframe, got {logger.name!r}")
        if "pid" in params and int_param(params, "pid") != os.getpid():
            raise CommandError(404, "Process not found", f"expected {os.getpid()}, or no pid")
        if "level" not in params:
            return {"Logger": logger.name, "Log level": _number(logger)} if logger is not None else self._levels()
        number = _level(params["level"], params, may_inherit=logger is not None)
        self._set(logger or self._top, number)
        if logger is not None:
            return {"Logger": logger.name, "Log level": _number(logger)}
        return {"Log level": number} if "pid" in params else {"New global log level": number}

    @property
    def _top(self) -> logging.Logger:
        """The logger whose level the others have: of the process, and of evframe in a service."""
        return logging.getLogger(None if self._context().host.is_gateway else _SERVICE)

    def _may_change(self, name: str) -> bool:
        return self._context().host.is_gateway or name == _SERVICE or name.startswith(f"{_SERVICE}.")

    def _levels(self) -> dict[str, Any]:
        found: dict[str, Any] = {
            "Processes": [{"PID": os.getpid(), "Log level": _number(self._top), "Type": "evframe"}]
        }
        loggers = [logging.getLogger(name) for name in sorted(self._own)]
        if loggers:
            found["Loggers"] = [{"Logger": each.name, "Log level": _number(each)} for each in loggers]
        return found

    def _set(self, logger: logging.Logger, number: int | None) -> None:
        """Set the level of *logger*, None for that of the loggers above it; log it while the log takes the line."""
        level = logging.NOTSET if number is None else _LEVELS[number][0]
        shown = {"changed": logger.name, "new_level": _INHERITED if number is None else number}
        is_logged = log.isEnabledFor(logging.INFO)
        if is_logged:
            log.info("the log level is changed", extra=shown)
        logger.setLevel(level)
        if not is_logged:
            log.info("the log level is changed", extra=shown)
        if logger is not self._top:
            (self._own.discard if number is None else self._own.add)(logger.name)
        elif self._context().host.is_gateway:
            _unfold(self._libraries(), is_debug=number == _BY_NAME["debug"])

    def _libraries(self) -> Iterator[str]:
        for plugin in self._context().plugins.get_plugins():
            yield from getattr(plugin, "library_logs", ())


def _unfold(names: Iterable[str], *, is_debug: bool) -> None:
    """Log the lines of libraries at DEBUG alone, as at the start."""
    for logger in map(logging.getLogger, names):
        if is_debug and logger.level == _FOLDED:
            logger.setLevel(logging.NOTSET)
        elif not is_debug and logger.level == logging.NOTSET:
            logger.setLevel(_FOLDED)


def _logger(name: str) -> logging.Logger:
    """Return a logger that exists: one that a client invents would stay for good."""
    if name not in logging.root.manager.loggerDict:
        raise CommandError(404, "Logger not found", "expected the name of a logger, such as evframe.interface")
    return logging.getLogger(name)


def _level(value: Any, params: Mapping[str, Any], *, may_inherit: bool) -> int | None:
    """Return the number of a level, or None for that of the loggers above."""
    name = value.casefold() if isinstance(value, str) else None
    if name == _INHERITED and may_inherit:
        return None
    if name is not None and name.isascii() and name.isalpha():
        number = _BY_NAME.get(name)
    else:
        number = int_param(params, "level")
    if number not in _LEVELS:
        names = ", ".join([*_BY_NAME, *([_INHERITED] if may_inherit else [])])
        raise invalid_params(f"expected a level from -3 to 4, or one of {names}")
    return number


def _number(logger: logging.Logger) -> int:
    """Return the number of the level that *logger* has, or gets from those above it."""
    level = logger.getEffectiveLevel()
    return next((number for number, (limit, _) in _LEVELS.items() if level <= limit), min(_LEVELS))
