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

from typing import Final

from evframe_wire.exceptions import ConfigError, EvframeError, ParameterError
from evframe_wire.masking import masked_socket
from evframe_wire.visible import brief, visible

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

_MOST_CHARACTERS: Final = 1000


def _cut(text: str) -> str:
    return text if len(text) <= _MOST_CHARACTERS else f"{text[:_MOST_CHARACTERS]}..."


class EventNameError(EvframeError, ValueError):
    """Raised when an event name is empty, not text, or longer than 64 bytes."""


class UnknownEventError(EvframeError, LookupError):
    """Raised when an event is used before it was registered."""

    def __init__(self, name: str) -> None:
        super().__init__(f"expected a registered event, got {brief(name)}")
        self.name = name


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
