"""The events: a check, or the end of a call, has reached a limit."""

from __future__ import annotations

from typing import Any, Final

from evframe import Parameter
from evframe_fraud_detection.result import Result
from evframe_fraud_detection.usage import Finding, Verdict

EVENTS: Final = {Verdict.WARNING: "E_FRD_WARNING", Verdict.CRITICAL: "E_FRD_CRITICAL"}
PARAMETERS: Final = {
    "param": Parameter(
        str,
        summary="Which measure: `calls-per-minute`, `total-calls`, `concurrent-calls`, `sequential-calls`"
        " or `call-duration`.",
    ),
    "value": Parameter(int, summary="Its value now; seconds for `call-duration`."),
    "threshold": Parameter(int, summary="The limit that is reached."),
    "user": Parameter(str, summary="The user of the check."),
    "called_number": Parameter(str, summary="The number of the check."),
    "rule_id": Parameter(int, summary="The rule that holds."),
    "profile_id": Parameter(int, summary="The profile of the check."),
}


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
