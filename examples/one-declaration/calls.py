"""The events of a call centre: one class for each, which is all that is ever written about it."""

import evframe


class CallEnded(evframe.EventType, name="E_CALL_ENDED"):
    """A call has ended."""

    caller: str = evframe.param(summary="Who has called.")
    agent: str = evframe.param(summary="Who has answered.")
    seconds: int = evframe.param(summary="How long they have spoken.")
    rating: int | None = evframe.param(default=None, summary="What the caller thinks of it, from 1 to 5.")
