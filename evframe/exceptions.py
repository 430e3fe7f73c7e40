"""Every exception of evframe.

::

    EvframeError
    ├── EventNameError (ValueError)      a name that cannot be registered
    ├── UnknownEventError (LookupError)  an event that is not registered
    ├── ParameterError (ValueError)      a raise with parameters that cannot be delivered
    ├── SocketError (ValueError)         a subscriber socket that cannot be used
    ├── ForbiddenError (ValueError)      what a plugin does not permit a run-time client
    ├── ConfigError (ValueError)         a configuration with problems
    ├── PluginError                      a plugin that cannot be loaded
    └── DeliveryError                    raised by a transport, read by the core
        ├── Unavailable                  the peer is away: keep the events and try again
        └── Rejected                     the peer refused: count the events as failed
"""

from __future__ import annotations

from evframe_wire.exceptions import ConfigError, EvframeError, ParameterError, SocketError
from evframe_wire.visible import brief

__all__ = [
    "ConfigError",
    "DeliveryError",
    "EventNameError",
    "EvframeError",
    "ForbiddenError",
    "ParameterError",
    "PluginError",
    "Rejected",
    "SocketError",
    "Unavailable",
    "UnknownEventError",
]


class EventNameError(EvframeError, ValueError):
    """Raised when an event name is empty, not text, or longer than 64 bytes."""


class UnknownEventError(EvframeError, LookupError):
    """Raised when an event is used before it was registered."""

    def __init__(self, name: str) -> None:
        super().__init__(f"expected a registered event, got {brief(name)}")
        self.name = name


class ForbiddenError(EvframeError, ValueError):
    """Raised when a plugin does not permit what a run-time client asks for.

    Args:
        rule: the name of the rule that does not permit it.
        subject: the socket without its secrets, the event or the command.
        problem: what the rule expects.
    """

    def __init__(self, rule: str, subject: str, problem: str) -> None:
        super().__init__(f"{subject!r}: {problem}")
        self.rule = rule
        self.subject = subject
        self.problem = problem


class PluginError(EvframeError):
    """Raised when a plugin cannot be loaded or breaks the hook contract."""


class DeliveryError(EvframeError):
    """Raised by a transport when a batch could not be delivered.

    Args:
        reason: a short word under which the events are counted.
        done: how many events at the head of the batch have their outcome already.

    Raises:
        TypeError: if the reason is no text.
    """

    def __init__(self, reason: str, *, done: int = 0) -> None:
        if not isinstance(reason, str):
            raise TypeError(f"expected a text as a reason, got {type(reason).__name__}")
        super().__init__(reason)
        self.reason = reason
        self.done = done


class Unavailable(DeliveryError):  # noqa: N818 a state of the peer, not a mistake
    """The peer cannot be reached now: the core keeps the events and tries again."""


class Rejected(DeliveryError):  # noqa: N818 as above
    """The peer will not take these events: the core counts them as failed."""
