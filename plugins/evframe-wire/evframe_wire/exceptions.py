"""The root of the exceptions, and those that distributions without the core raise."""

from __future__ import annotations

from typing import Final

from evframe_wire.masking import masked_socket
from evframe_wire.visible import brief, visible

_MOST_CHARACTERS: Final = 1000


class EvframeError(Exception):
    """The root of every error that evframe raises on purpose."""


def _cut(text: str) -> str:
    return text if len(text) <= _MOST_CHARACTERS else f"{text[:_MOST_CHARACTERS]}..."


class SocketError(EvframeError, ValueError):
    """Raised when a subscriber socket has an unknown scheme or does not fit its grammar.

    The texts of the error contain neither a password in the socket nor the text behind the path of a URL.
    """

    def __init__(self, socket: str, problem: str) -> None:
        socket, problem = masked_socket(socket if isinstance(socket, str) else brief(socket), problem)
        problem = visible(problem)
        super().__init__(f"socket {_cut(socket)!r}: {_cut(problem)}")
        self.socket = socket
        self.problem = problem


class ConfigError(EvframeError, ValueError):
    """Raised with every problem of a configuration, one line each with its path."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class ParameterError(EvframeError, ValueError):
    """Raised when the parameters of a raise break their declaration or cannot be sent.

    A declaration is refused with it that lacks a parameter of a subscriber.
    """

    def __init__(self, event: str, parameter: object, problem: str) -> None:
        super().__init__(f"event {event!r}, parameter {brief(parameter)}: {problem}")
        self.event = event
        self.parameter = parameter
        self.problem = problem
