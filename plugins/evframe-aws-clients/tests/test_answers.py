"""What errors of a service say."""

import pytest
from evframe_aws_clients import AwsOptions, ErrorCodes, Verdict


@pytest.mark.parametrize(
    ("code", "status", "is_sender", "verdict"),
    [
        ("Throttling", 400, True, (Verdict.LATER, "throttled")),
        ("anything", 429, True, (Verdict.LATER, "throttled")),
        ("ExpiredToken", 403, True, (Verdict.LATER, "access_refused")),
        ("InternalFailure", 500, True, (Verdict.LATER, "http_500")),
        ("anything", 400, False, (Verdict.LATER, "service_error")),
        ("NoSuchTopic", 404, True, (Verdict.MENDABLE, "not_found")),
        ("com.amazonaws.sns#NoSuchTopic", 404, True, (Verdict.MENDABLE, "not_found")),
        ("AccessDenied", 403, True, (Verdict.MENDABLE, "access_refused")),
        ("Kms.Disabled", 400, True, (Verdict.REJECTED, "invalid_message")),
        ("KmsDisabled", 400, True, (Verdict.MENDABLE, "access_refused")),
        ("MuchTooLong", 400, True, (Verdict.REJECTED, "too_large")),
        ("anything", 413, True, (Verdict.REJECTED, "too_large")),
        ("", 400, True, (Verdict.REJECTED, "invalid_message")),
    ],
)
def test_verdicts(code, status, is_sender, verdict):
    """A service has codes beside those of all."""
    errors = ErrorCodes(not_found=frozenset({"NoSuchTopic"}), too_large=frozenset({"MuchTooLong"}))
    assert errors.verdict_on(code, status, is_sender=is_sender) == verdict


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"region": "EU"}, "region: expected a region such as 'eu-central-1'"),
        ({"endpoint_url": "127.0.0.1:1"}, "endpoint_url: expected https://host"),
        ({"access_key_id": "AKID"}, "access_key_id: expected it and secret_access_key, or neither"),
        ({"timeout_ms": 0}, "timeout_ms: expected 1 or more"),
    ],
)
def test_options_that_do_not_fit(options, problem):
    """Each is one clear error."""
    with pytest.raises(ValueError, match=problem):
        AwsOptions(**options)
