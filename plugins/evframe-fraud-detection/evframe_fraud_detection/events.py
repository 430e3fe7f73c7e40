"""The events: a check, or the end of a call, has reached a limit."""

from __future__ import annotations

from typing import Any, Final

import evframe
from evframe_fraud_detection.result import Result
from evframe_fraud_detection.usage import Finding, Verdict

EVENTS: Final = {Verdict.WARNING: "E_FRD_WARNING", Verdict.CRITICAL: "E_FRD_CRITICAL"}


class LimitReached(evframe.EventType):
    """The base of both events."""

    param: str = evframe.param(
        summary="Which measure: `calls-per-minute`, `total-calls`, `concurrent-calls`, `sequential-calls`"
        " or `call-duration`."
    )
    value: int = evframe.param(summary="Its value now; seconds for `call-duration`.")
    threshold: int = evframe.param(summary="The limit that is reached.")
    user: str = evframe.param(summary="The user of the check.")
    called_number: str = evframe.param(summary="The number of the check.")
    rule_id: int = evframe.param(summary="The rule that holds.")
    profile_id: int = evframe.param(summary="The profile of the check.")


class WarningLimitReached(LimitReached, name=EVENTS[Verdict.WARNING]):
    """A check, or the end of a call, has reached a warning limit."""


class CriticalLimitReached(LimitReached, name=EVENTS[Verdict.CRITICAL]):
    """A check, or the end of a call, has reached a critical limit."""


def parameters(call: Result, finding: Finding) -> dict[str, Any]:
    """Return the parameters of the event about a limit that a call has reached."""
    assert call.rule is not None
    return {
        "param": finding.param,
        "value": finding.value,
        "threshold": finding.threshold,
        "user": call.user,
        "called_number": call.number,
        "rule_id": call.rule.ruleid,
        "profile_id": call.rule.profileid,
    }
