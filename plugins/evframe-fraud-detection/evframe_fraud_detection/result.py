"""What a check found."""

from __future__ import annotations

import attrs

from evframe_fraud_detection.rules import Rule
from evframe_fraud_detection.usage import Counter, Verdict


@attrs.define(eq=False)
class Result:
    """What a check found, and the call that it was about; true when no limit is reached."""

    verdict: Verdict
    user: str
    number: str
    rule: Rule | None = None
    """The rule that holds; None when there is none."""
    param: str | None = None
    """The measure that reached a limit."""
    value: int | None = None
    threshold: int | None = None
    _counter: Counter | None = attrs.field(default=None, repr=False)
    _interval: int = attrs.field(default=0, repr=False)

    def __bool__(self) -> bool:
        return bool(self.verdict)
