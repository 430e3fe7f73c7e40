"""The checks of calls, by rules that can be read again."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any, Final

from evframe import ConfigError
from evframe.plugin import PluginContext
from evframe_fraud_detection.events import EVENTS, parameters
from evframe_fraud_detection.options import Options
from evframe_fraud_detection.result import Result
from evframe_fraud_detection.rulebook import RuleBook, read_rules
from evframe_fraud_detection.usage import Finding, Usage, Verdict, judge_duration

log = logging.getLogger("evframe.fraud-detection")
GROUP: Final = "fraud-detection"
NO_DATA: Final = -2


class Detector:
    """Counts calls and finds limits that are reached, on any thread.

    Args:
        options: the table ``[plugins.fraud-detection]``.
        clock: the wall clock, in seconds since the epoch.
        monotonic: the time in seconds, which never goes back.

    Raises:
        ConfigError: with every problem of the rules.
    """

    def __init__(self, options: Options, clock: Callable[[], float], monotonic: Callable[[], float]) -> None:
        self._options = options
        self._now = clock
        self._monotonic = monotonic
        self._calendar = _calendar(options)
        self._lock = threading.Lock()
        self._usage = Usage(options.max_counters)
        self._context: PluginContext | None = None
        self.rules = load_rules(options)
        """The rules that hold."""

    def check(self, user: str, number: str, profile: int) -> Result:
        """Count a call of *user* to *number* that begins, and raise an event when a limit is reached.

        It does not keep the call from happening. Whether it does or not, `call_ended` has to be
        called with the result when it is over.

        Args:
            user: who calls.
            number: the destination.
            profile: the profile whose rules hold for this user.

        Raises:
            ValueError: if *user* or *number* is no text.
            LookupError: if there is no such profile.
        """
        for name, value in (("user", user), ("number", number)):
            if not isinstance(value, str):
                raise ValueError(f"{name}: expected text, got {value!r}")  # noqa: TRY004 as for every value that cannot be
        now = self._calendar(self._now())
        rule = self.rules.find(profile, number, now)
        if rule is None:
            return Result(Verdict.NO_RULE, user, number)
        day = (now.tm_year, now.tm_yday)
        with self._lock:
            counter = self._usage.counter(user, rule.prefix, day)
            finding = counter.count(rule, number, day, int(self._monotonic()))
            interval = counter.interval
        result = Result(Verdict.FINE, user, number, rule, counter=counter, interval=interval)
        if finding is not None:
            result.verdict, result.param = finding.verdict, finding.param
            result.value, result.threshold = finding.value, finding.threshold
            self._raise(result, finding)
        return result

    def call_ended(self, call: Result, duration_s: float | None = None) -> Verdict:
        """Count the end of a call once, and raise an event when its duration reaches a limit.

        Args:
            call: what `check` returned when it began.
            duration_s: the seconds since it was answered; None when it was not.

        Raises:
            ValueError: if *duration_s* is negative.
        """
        if duration_s is not None and not duration_s >= 0:
            raise ValueError(f"duration_s: expected 0 or more seconds, got {duration_s!r}")
        with self._lock:
            counter, call._counter = call._counter, None  # noqa: SLF001 its other half
            if counter is not None:
                counter.end(call._interval)  # noqa: SLF001
        if counter is None or call.rule is None:
            return call.verdict if call.rule is None else Verdict.FINE
        finding = None if duration_s is None else judge_duration(call.rule, int(duration_s))
        if finding is None:
            return Verdict.FINE
        self._raise(call, finding)
        return finding.verdict

    def _raise(self, call: Result, finding: Finding) -> None:
        if self._context is not None:
            self._context.raise_event(EVENTS[finding.verdict], parameters(call, finding))

    def reload(self) -> None:
        """Read the rules again; counters stay, and on an error the rules too.

        Raises:
            ConfigError: with every problem of the rules.
        """
        try:
            if self._options.rules_file is None:
                raise ConfigError(["rules_file: expected a file to read again, got nothing"])
            self.rules = load_rules(self._options)
        except ConfigError as error:
            log.warning("the rules could not be read again, and stay as they were", extra={"problems": error.problems})
            self._report(f"reload refused: {error.problems[0]}")
            raise
        log.info("the rules were read again", extra={"rules": len(self.rules)})
        self._report(f"{len(self.rules)} rules loaded")
        self._set_status()

    def _adopt(self, options: Options, rules: RuleBook) -> None:
        self._options, self.rules = options, rules
        self._calendar = _calendar(options)
        self._usage.most = options.max_counters
        self._set_status()

    def _report(self, text: str) -> None:
        if self._context is not None:
            self._context.status.group(GROUP).report(text)

    def _set_status(self) -> None:
        if self._context is not None:
            status, details = (1, "data available") if len(self.rules) else (NO_DATA, "no data loaded")
            self._context.status.group(GROUP).set_status(status, details)

    def stats(self, user: str, number: str | None = None) -> list[dict[str, Any]]:
        """Return the counters of *user*, or the one for what *number* begins with.

        Each has ``user``, ``prefix``, ``rule_id`` and a value for each measure.
        """
        second = int(self._monotonic())
        with self._lock:
            found = dict(self._usage.of(user))
            if number is not None:
                longest = max((prefix for prefix in found if number.startswith(prefix)), key=len, default=None)
                found = {} if longest is None else {longest: found[longest]}
            return [
                {
                    "user": user,
                    "prefix": prefix,
                    "rule_id": counter.rule_id,
                    "calls-per-minute": counter.per_minute(second),
                    "total-calls": counter.total,
                    "concurrent-calls": counter.concurrent,
                    "sequential-calls": counter.sequential,
                }
                for prefix, counter in found.items()
            ]

    def forget(self, most: int) -> int:
        """Forget up to *most* counters of other days; return how many these were."""
        now = self._calendar(self._now())
        with self._lock:
            return self._usage.forget((now.tm_year, now.tm_yday), most)


def load_rules(options: Options) -> RuleBook:
    """Return the configured rules and those of the file.

    Raises:
        ConfigError: with every problem of the rules.
    """
    path = options.rules_file
    return RuleBook([*options.rules, *(read_rules(path) if path is not None else ())])


def _calendar(options: Options) -> Callable[[float], time.struct_time]:
    return time.gmtime if options.use_utc_time else time.localtime
