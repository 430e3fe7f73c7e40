"""The root of the exceptions, and those that distributions without the core raise."""

from __future__ import annotations

from evframe_wire.visible import brief


class EvframeError(Exception):
    """The root of every error that evframe raises on purpose."""


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
