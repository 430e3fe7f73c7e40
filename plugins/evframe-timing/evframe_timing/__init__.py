"""When something is due: schedules, a budget of retries, turns, slices, limits of log lines, ages of connections."""

from evframe_timing.ages import Age
from evframe_timing.alarm import Alarm
from evframe_timing.bucket import Bucket
from evframe_timing.log_limit import LogLimiter
from evframe_timing.retries import Retries, RetryTimer
from evframe_timing.schedule import Schedule
from evframe_timing.slices import Slices, portions
from evframe_timing.turns import Turns

__all__ = ["Age", "Alarm", "Bucket", "LogLimiter", "Retries", "RetryTimer", "Schedule", "Slices", "Turns", "portions"]
