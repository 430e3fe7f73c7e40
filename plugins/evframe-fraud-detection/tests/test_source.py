"""The plugin: checks, events, the end of calls, reloading, and the commands."""

import asyncio
import calendar
import threading
import time

import pytest
from evframe_fraud_detection import FraudDetection, Options, Rule, Verdict

import evframe
from evframe.plugins.commands import CommandError
from evframe.testing import ConfigFile, FakeClock, MemoryTransport, Recorder, SourceContract, until

NOON = float(calendar.timegm((2026, 11, 2, 12, 0, 0)))  # a Monday


def source(*rules, **options):
    clock = FakeClock(NOON)
    fraud = FraudDetection(Options(use_utc_time=True, rules=list(rules), **options), clock=clock, monotonic=clock)
    return fraud, clock


class TestContract(SourceContract):
    """What every source does."""

    name = "fraud-detection"

    def source(self):
        return FraudDetection(Options(rules=[Rule(1, 1, total_calls_warning=1, total_calls_critical=2)]))

    async def provoke(self, recorder):
        for _ in range(2):
            recorder.plugin("fraud-detection").check("bob", "44", 1)


async def test_events():
    """A limit that is reached raises an event with each further call, the first one of the order only."""
    fraud, _ = source(Rule(7, 3, "44", cpm_warning=2, total_calls_critical=3))
    async with Recorder({"fraud-detection": fraud}) as recorder:
        results = [fraud.check("bob", "4411", 3) for _ in range(4)]
        events = await recorder.events()
    assert [int(result.verdict) for result in results] == [1, -1, -2, -2]
    assert [bool(result) for result in results] == [True, False, False, False]
    common = {"user": "bob", "called_number": "4411", "rule_id": 7, "profile_id": 3}
    assert events == [
        ("E_FRD_WARNING", {"param": "calls-per-minute", "value": 2, "threshold": 2, **common}),
        ("E_FRD_CRITICAL", {"param": "total-calls", "value": 3, "threshold": 3, **common}),
        ("E_FRD_CRITICAL", {"param": "total-calls", "value": 4, "threshold": 3, **common}),
    ]
    assert (results[1].param, results[1].value, results[1].threshold) == ("calls-per-minute", 2, 2)


async def test_end_of_calls():
    """A call that ends makes room for another, and its duration counts; one that failed has none."""
    fraud, _ = source(
        Rule(7, 3, concurrent_calls_critical=2, call_duration_warning=60, call_duration_critical=120),
    )
    async with Recorder({"fraud-detection": fraud}) as recorder:
        first = fraud.check("bob", "44", 3)
        assert fraud.call_ended(first) is Verdict.FINE
        second = fraud.check("bob", "44", 3)
        assert second
        assert fraud.call_ended(second, 119.9) is Verdict.WARNING
        third = fraud.check("bob", "44", 3)
        assert third
        assert fraud.call_ended(third, 120) is Verdict.CRITICAL
        assert fraud.call_ended(third, 120) is Verdict.FINE
        assert fraud.stats("bob")[0]["concurrent-calls"] == 0
        assert [fraud.check("bob", "44", 3).verdict for _ in range(2)] == [Verdict.FINE, Verdict.CRITICAL]
        events = [(name, params["param"], params["value"]) for name, params in await recorder.events()]
    assert events == [
        ("E_FRD_WARNING", "call-duration", 119),
        ("E_FRD_CRITICAL", "call-duration", 120),
        ("E_FRD_CRITICAL", "concurrent-calls", 2),
    ]


async def test_no_rule():
    """A number without a rule is let pass with another verdict, and nothing is counted."""
    fraud, clock = source(Rule(1, 1, "44", total_calls_critical=1), Rule(2, 1, "33", "00:00", "11:59"))
    async with Recorder({"fraud-detection": fraud}) as recorder:
        for number in ("49", "331"):
            result = fraud.check("bob", number, 1)
            assert (result.verdict, int(result.verdict), bool(result)) == (Verdict.NO_RULE, 2, True)
            assert fraud.call_ended(result, 10**6) is Verdict.NO_RULE
        assert fraud.stats("bob") == []
        clock.advance(12 * 3600)
        assert fraud.check("bob", "331", 1).rule.ruleid == 2
        assert await recorder.events() == []


def test_another_day():
    """At midnight everything begins anew, and calls of the day before do not count as ended."""
    fraud, clock = source(Rule(1, 1, total_calls_critical=3))
    calls = [fraud.check("bob", "44", 1) for _ in range(2)]
    clock.advance(12 * 3600)
    assert fraud.check("bob", "44", 1)
    fraud.call_ended(calls[0], 5)
    assert fraud.stats("bob")[0]["concurrent-calls"] == 1


@pytest.mark.parametrize(("use_utc_time", "rule"), [(True, 1), (False, 2)])
def test_local_time(monkeypatch, use_utc_time, rule):
    """Hours are local unless the option says UTC."""
    monkeypatch.setenv("TZ", "XXX-05:30")
    time.tzset()
    try:
        rules = [Rule(1, 1, "", "12:00", "12:59"), Rule(2, 1, "", "17:30", "17:59")]
        fraud = FraudDetection(Options(use_utc_time=use_utc_time, rules=rules), clock=lambda: NOON)
        assert fraud.check("bob", "44", 1).rule.ruleid == rule
    finally:
        monkeypatch.undo()
        time.tzset()


def test_a_clock_that_goes_back():
    """The calls of a minute are counted on a clock that does not."""
    wall, steady = FakeClock(NOON), FakeClock()
    rules = [Rule(1, 1, cpm_critical=3)]
    fraud = FraudDetection(Options(use_utc_time=True, rules=rules), clock=wall, monotonic=steady)
    for _ in range(4):
        assert fraud.check("bob", "44", 1)
        wall.advance(-600)
        steady.advance(30)


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ((7, "44", 1), ValueError, "^user: expected text, got 7$"),
        (("bob", None, 1), ValueError, "^number: expected text, got None$"),
        (("bob", "44", 9), LookupError, r"^profile: expected one of \[1\], got 9$"),
    ],
)
def test_check_refuses(arguments, error, text):
    """What cannot be is one clear error, and counts for nothing."""
    fraud, _ = source(Rule(1, 1))
    with pytest.raises(error, match=text):
        fraud.check(*arguments)
    assert fraud.stats("bob") == []


@pytest.mark.parametrize("duration", [-1, float("nan")])
def test_a_duration_that_cannot_be(duration):
    """A negative duration is an error, and the call continues."""
    fraud, _ = source(Rule(1, 1))
    call = fraud.check("bob", "44", 1)
    with pytest.raises(ValueError, match="^duration_s: expected 0 or more seconds, got"):
        fraud.call_ended(call, duration)
    assert fraud.stats("bob")[0]["concurrent-calls"] == 1


async def test_reload(tmp_path):
    """The file is read again under both names; counters stay, and the limits are the new ones."""
    path = tmp_path / "rules.csv"
    path.write_text("ruleid,profileid,total_calls_critical\n1,1,2\n")
    fraud, _ = source(Rule(9, 9), rules_file=str(path))
    async with Recorder({"fraud-detection": fraud}) as recorder:
        main = recorder.interface.status.find("fraud-detection").find()
        assert (main.status, main.details) == (1, "data available")
        assert fraud.check("bob", "44", 1)
        path.write_text("ruleid,profileid,total_calls_critical\n1,1,5\n2,2,1\n")
        assert recorder.command("fraud_reload") == "OK"
        assert [fraud.check("bob", "44", 1).verdict for _ in range(4)] == [1, 1, 1, -2]
        assert len(fraud.rules) == 3
        assert recorder.command("fraud_detection:reload") == "OK"
        assert [report.text for report in main.reports] == ["3 rules loaded"] * 2


@pytest.mark.parametrize("text", ["ruleid,profileid\n1,x\n", "ruleid,profileid\n9,1\n", None])
async def test_a_reload_that_fails_changes_nothing(tmp_path, text):
    """A file with a problem is answered with it, and the rules stay as they were."""
    path = tmp_path / "rules.csv"
    path.write_text("ruleid,profileid,total_calls_critical\n1,1,2\n")
    fraud, _ = source(Rule(9, 9), rules_file=str(path))
    async with Recorder({"fraud-detection": fraud}) as recorder:
        before = fraud.rules
        if text is None:
            path.unlink()
        else:
            path.write_text(text)
        with pytest.raises(CommandError, match="Rules not loaded") as caught:
            recorder.command("fraud_detection:reload")
        assert caught.value.code == 500
        assert caught.value.data.startswith(("rules_file: ", "rules: "))
        assert fraud.rules is before
        main = recorder.interface.status.find("fraud-detection").find()
        assert main.status == 1
        assert main.reports[-1].text.startswith("reload refused: ")


async def test_reload_without_a_file():
    """Without a file there is nothing to read again, and no rules have another status."""
    fraud, _ = source()
    async with Recorder({"fraud-detection": fraud}) as recorder:
        with pytest.raises(CommandError, match="Rules not loaded"):
            recorder.command("fraud_reload")
        assert recorder.interface.status.find("fraud-detection").find().status == -2


async def test_show_stats():
    """The counters of a user are shown, all or those for a prefix or a number, under both names."""
    fraud, clock = source(Rule(1, 1, "44"), Rule(2, 1, "4420"))
    async with Recorder({"fraud-detection": fraud}) as recorder:
        for number in ("4412", "442012", "442012"):
            fraud.check("bob", number, 1)
        clock.advance(60)
        shown = {
            "user": "bob",
            "prefix": "4420",
            "rule_id": 2,
            "calls-per-minute": 0,
            "total-calls": 2,
            "concurrent-calls": 2,
            "sequential-calls": 2,
        }
        for prefix in ("4420", "442099", 4420):
            assert recorder.command("show_fraud_stats", user="bob", prefix=prefix) == {"Stats": [shown]}
        stats = recorder.command("fraud_detection:show_stats", user="bob")["Stats"]
        assert [row["prefix"] for row in stats] == ["44", "4420"]
        for params in ({"user": "eve"}, {"user": "bob", "prefix": "33"}):
            with pytest.raises(CommandError) as caught:
                recorder.command("fraud_detection:show_stats", **params)
            assert caught.value.code == 404


async def test_counters_of_yesterday_are_forgotten():
    """Every minute the counters of other days are removed."""
    clock = FakeClock(NOON)
    waiting, go = asyncio.Event(), asyncio.Event()

    async def sleep(seconds):
        assert seconds == 60
        waiting.set()
        await go.wait()
        go.clear()

    options = Options(use_utc_time=True, rules=[Rule(1, 1)])
    fraud = FraudDetection(options, clock=clock, monotonic=clock, sleep=sleep)
    async with Recorder({"fraud-detection": fraud}):
        for user in range(2500):
            fraud.check(f"user{user}", "44", 1)
        for hours, left in ((1, 1), (12, 0)):
            clock.advance(hours * 3600)
            await waiting.wait()
            waiting.clear()
            go.set()
            await waiting.wait()
            assert len(fraud.stats("user7")) == left
        assert len(fraud._usage) == 0


def test_threads():
    """Checks from several threads miss nothing."""
    memory = MemoryTransport()
    fraud, _ = source(Rule(1, 1, total_calls_critical=4000))
    with evframe.start_in_thread(plugins={"memory": memory, "fraud-detection": fraud}) as events:
        events.subscribe_event("E_FRD_CRITICAL", "memory:all")

        def work():
            for _ in range(1000):
                fraud.call_ended(fraud.check("bob", "44", 1), 1)

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        asyncio.run(until(lambda: memory.delivered.get("all")))
    assert [event["value"] for event in memory.delivered["all"]] == [4000]
    assert [(row["total-calls"], row["concurrent-calls"]) for row in fraud.stats("bob")] == [(4000, 0)]


async def test_options_reload(tmp_path):
    """Other rules, from the configuration or its file, hold for the counters of before; a bad file changes nothing."""
    rules = tmp_path / "rules.csv"
    rules.write_text("ruleid,profileid,prefix,total_calls_critical\n1,1,44,10\n")
    text = f"[plugins.fraud-detection]\nrules_file = '{rules}'\n"
    file = ConfigFile(tmp_path / "evframe.toml", "fraud-detection")
    async with file.interface(text) as events:
        fraud = events.plugin("fraud-detection")
        assert [int(fraud.check("bob", "4411", 1).verdict) for _ in range(3)] == [1, 1, 1]
        rules.write_text("ruleid,profileid,prefix,total_calls_critical\n1,1,44,4\n")
        assert events.reload().plugins == ["fraud-detection"]
        assert events.reload().plugins == []
        critical = fraud.check("bob", "4411", 1)
        assert (int(critical.verdict), critical.value) == (-2, 4)
        rules.write_text("ruleid,profileid,prefix,total_calls_critical\n1,1,44,many\n")
        with pytest.raises(evframe.ConfigError, match=r"plugins\.fraud-detection\.rules_file: .*line 2"):
            events.reload()
        assert fraud.check("bob", "4411", 1).value == 5
        file.write("[[plugins.fraud-detection.rules]]\nruleid = 2\nprofileid = 2\n")
        events.reload()
        assert (len(fraud.rules), fraud.stats("bob")[0]["total-calls"]) == (1, 5)
        with pytest.raises(LookupError, match="profile"):
            fraud.check("bob", "4411", 1)
        file.write()
        events.reload()
        assert events.status.group("fraud-detection").find("main").status == -2


def test_other_options_are_taken_back():
    """What is returned brings everything back; fewer counters leave when the next one comes."""
    fraud, _ = source(Rule(1, 1, total_calls_critical=10), max_counters=100)
    for number in range(50):
        fraud.check(f"user{number}", "44", 1)
    back = fraud.reconfigure(Options(max_counters=10))
    assert (len(fraud.rules), fraud._calendar) == (0, time.localtime)
    back()
    assert (len(fraud.rules), fraud._calendar, len(fraud._usage)) == (1, time.gmtime, 50)
    assert fraud.check("user0", "44", 1).rule.ruleid == 1
    assert len(fraud._usage) == 50
    fraud.reconfigure(Options(rules=[Rule(1, 1)], use_utc_time=True, max_counters=10))
    fraud.check("another", "44", 1)
    assert len(fraud._usage) == 10
    assert fraud.stats("user0")
