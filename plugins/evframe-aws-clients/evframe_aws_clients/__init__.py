"""What transports to services of AWS share: credentials, requests, and words for errors."""

from evframe_aws_clients.answers import ErrorCodes, Refused, Verdict
from evframe_aws_clients.options import AwsOptions

__all__ = ["AwsOptions", "ErrorCodes", "Refused", "Verdict"]
