"""The fraud detection source of evframe: raises events when a user's usage of a destination reaches its limits."""

from evframe_fraud_detection.events import CriticalLimitReached, WarningLimitReached
from evframe_fraud_detection.options import Options
from evframe_fraud_detection.plugin import FraudDetection
from evframe_fraud_detection.result import Result
from evframe_fraud_detection.rulebook import RuleBook
from evframe_fraud_detection.rules import Rule
from evframe_fraud_detection.usage import Verdict

__all__ = [
    "CriticalLimitReached",
    "FraudDetection",
    "Options",
    "Result",
    "Rule",
    "RuleBook",
    "Verdict",
    "WarningLimitReached",
]
