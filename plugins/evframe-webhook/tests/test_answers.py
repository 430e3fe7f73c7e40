"""What the status of an answer says."""

from evframe_webhook.answers import Verdict, verdict_on


def test_each_status_has_a_verdict():
    """What a later attempt may mend waits; for events on disk that is more."""
    later = {status for status in range(100, 1000) if verdict_on(status, is_kept=False) is Verdict.LATER}
    assert later == {408, 425, 429, *range(500, 1000)}
    kept = {status for status in range(100, 1000) if verdict_on(status, is_kept=True) is Verdict.LATER}
    assert kept - later == {401, 403, 404, 407}
    delivered = {status for status in range(100, 1000) if verdict_on(status, is_kept=True) is Verdict.DELIVERED}
    assert delivered == set(range(200, 300))
    assert [status for status in range(100, 1000) if verdict_on(status, is_kept=True) is Verdict.GONE] == [410]
