"""What Prometheus itself says of the metrics, the rules of alerts and the queries of the dashboard."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from evframe_metrics import Metrics, Options
from evframe_metrics.alerts import ALERTS, rules_file
from evframe_metrics.catalog import METRICS
from evframe_metrics.dashboard import dashboard_file

import evframe
from evframe.plugin import StatisticGroup
from evframe.testing import MemoryTransport

ROOT = Path(__file__).resolve().parents[3]
INTERVAL = "1m"


@pytest.fixture
def promtool(tmp_path):
    """Return what runs promtool in a folder with the file of the rules, and checks that it finds no fault."""
    path = shutil.which("promtool")
    if path is None:
        pytest.fail("promtool is needed, which the package prometheus of Debian has: bash .ci/apt prometheus")
    (tmp_path / "alerts.yml").write_text(rules_file())

    def run(*arguments, given=None):
        done = subprocess.run(
            [path, *arguments], cwd=tmp_path, input=given, capture_output=True, text=True, timeout=60, check=False
        )
        assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
        return done.stdout

    return run


class Counting:
    """A plugin with statistics."""

    @evframe.hookimpl
    def statistics(self):
        return [StatisticGroup("counting", {"seen": 3}, {"open": 1})]


async def test_the_text_of_a_scrape_has_no_fault(promtool):
    """`promtool check metrics` finds no fault in names, kinds and help texts, of other plugins either."""
    metrics = Metrics(Options(bind="127.0.0.1:0", detail=True))
    memory = MemoryTransport()
    events = evframe.EventInterface(plugins={"memory": memory, "counting": Counting(), "metrics": metrics})
    events.register_event("E_A")
    memory.when("b", lambda batch: batch.fail(0, "odd") or True)
    for name in "ab":
        events.subscribe_event("E_A", f"memory:{name}")
    async with events:
        await events.raise_event_and_wait("E_A")
        text = b"".join(await metrics._scrape(is_open=False)).decode()
    assert "evframe_plugin_counts_total" in text
    assert "evframe_plugin_levels" in text
    promtool("check", "metrics", given=text)


def test_the_rules_have_no_fault(promtool):
    """`promtool check rules` accepts every rule."""
    assert f"SUCCESS: {len(ALERTS)} rules found" in promtool("check", "rules", "--lint-fatal", "alerts.yml")


def series(name, values, /, **labels):
    labels = {"instance": "a:9464", "job": "evframe", **labels}
    inner = ",".join(f'{label}="{value}"' for label, value in labels.items())
    return {"series": f"{name}{{{inner}}}", "values": values}


FAILED = {"transport": "udp", "outcome": "failed"}
DELAY = "evframe_delivery_seconds_bucket"
# For each alert: the series while it fires, the labels that it has, the minute, and series while it does not.
CASES = {
    "EvframeDown": ([series("up", "0x10")], {}, 5, [series("up", "1x10")]),
    "EvframeNotReady": ([series("evframe_ready", "0x10")], {}, 5, [series("evframe_ready", "1 0 1x10")]),
    "EvframeBehind": (
        [series("evframe_queue_oldest_age_seconds", "30+60x10", transport="tcp")],
        {"transport": "tcp"},
        5,
        [series("evframe_queue_oldest_age_seconds", "0 70 5 70 5x10", transport="tcp")],
    ),
    "EvframeEventsLost": (
        [series("evframe_deliveries_total", "3x5 8x10", reason="refused", **FAILED)],
        {"reason": "refused", **FAILED},
        6,
        [
            series("evframe_deliveries_total", "3x20", reason="refused", **FAILED),
            series("evframe_deliveries_total", "0+9x20", reason="unsubscribed", **FAILED),
            series("evframe_deliveries_total", "0+9x20", transport="udp", outcome="delivered", reason=""),
        ],
    ),
    "EvframeSubscribersAway": (
        [series("evframe_subscribers_away", "2x20", transport="udp")],
        {"transport": "udp"},
        8,
        [series("evframe_subscribers_away", "2 2 0x20", transport="udp")],
    ),
    "EvframeSlowDeliveries": (
        [series(DELAY, "0x40", transport="udp", le=bound) for bound in ("0.5", "1.0")]
        + [series(DELAY, "0+60x40", transport="udp", le=bound) for bound in ("2.5", "+Inf")],
        {"transport": "udp"},
        20,
        [series(DELAY, "0+60x40", transport="udp", le=bound) for bound in ("0.5", "1.0", "+Inf")],
    ),
    "EvframeDeadLetters": (
        [series("evframe_dead_letters", "4x10 5x10")],
        {},
        14,
        [series("evframe_dead_letters", "9x20")],
    ),
    "EvframeReloadRefused": (
        [series("evframe_last_reload_successful", "1 0x20")],
        {},
        8,
        [series("evframe_last_reload_successful", "1 0 0 1x20")],
    ),
    "EvframeFleetPartitions": (
        [series("evframe_plugin_levels", "0 3x10", group="fleet", name="partitions_without_owner")],
        {"group": "fleet", "name": "partitions_without_owner"},
        5,
        [
            series("evframe_plugin_levels", "0 3 0x10", group="fleet", name="partitions_without_owner"),
            series("evframe_plugin_levels", "64x10", group="fleet", name="owned_partitions"),
        ],
    ),
    "EvframeFleetEventsLost": (
        [series("evframe_plugin_counts_total", "0x4 2x10", group="fleet", name="lost_retention")],
        {"group": "fleet", "name": "lost_retention"},
        6,
        [
            series("evframe_plugin_counts_total", "2x10", group="fleet", name="lost_retention"),
            series("evframe_plugin_counts_total", "0+9x10", group="fleet", name="lost_unsubscribed"),
        ],
    ),
    "EvframeDetailCapped": (
        [series("evframe_subscribers_in_other", "7x30")],
        {},
        20,
        [series("evframe_subscribers_in_other", "0x30")],
    ),
}
SEVERITIES = {alert.name: alert.severity for alert in ALERTS}


def case(name, given, minute, labels):
    """Return one case of `promtool test rules`; *labels* are those of the alert that fires, None for none."""
    fires = [] if labels is None else [{"exp_labels": {"severity": SEVERITIES[name], **labels}}]
    return {
        "interval": INTERVAL,
        "input_series": given,
        "alert_rule_test": [{"eval_time": f"{minute}m", "alertname": name, "exp_alerts": fires}],
    }


def test_each_alert_fires_when_it_has_to(promtool, tmp_path):
    """Each fires on what it is for, with the labels and texts of its rule, and on nothing else."""
    assert CASES.keys() == SEVERITIES.keys()
    plain = {"instance": "a:9464", "job": "evframe"}
    lost = {"job"}  # `histogram_quantile` keeps what its sum is by
    tests = []
    for name, (firing, labels, minute, quiet) in CASES.items():
        own = {key: value for key, value in plain.items() if name != "EvframeSlowDeliveries" or key not in lost}
        tests += [case(name, firing, minute, {**own, **labels}), case(name, quiet, minute, None)]
    document = {"rule_files": ["plain.yml"], "evaluation_interval": INTERVAL, "tests": tests}
    # Texts would have to be repeated here; that they can be filled in is seen below.
    text = re.sub(r"^        annotations:\n(?:          .*\n)+", "", rules_file(), flags=re.MULTILINE)
    (tmp_path / "plain.yml").write_text(text)
    (tmp_path / "test.yml").write_text(json.dumps(document))  # JSON is YAML
    assert "SUCCESS" in promtool("test", "rules", "test.yml")


def test_a_new_reason_fires_at_its_first_event(promtool, tmp_path):
    """The series of a reason begins with its first failure, which `increase` alone does not see; texts are filled in."""
    alert = next(each for each in ALERTS if each.name == "EvframeEventsLost")
    firing = [series("evframe_deliveries_total", "_x10 1x3", reason="queue_full", **FAILED)]
    labels = {"instance": "a:9464", "job": "evframe", "reason": "queue_full", **FAILED}
    given = case("EvframeEventsLost", firing, 12, labels)
    given["alert_rule_test"][0]["exp_alerts"][0]["exp_annotations"] = {
        "summary": "events over udp are lost: queue_full",
        "action": alert.action,
    }
    document = {"rule_files": ["alerts.yml"], "evaluation_interval": INTERVAL, "tests": [given]}
    (tmp_path / "test.yml").write_text(json.dumps(document))
    assert "SUCCESS" in promtool("test", "rules", "test.yml")


def test_the_queries_of_the_dashboard_are_valid(promtool, tmp_path):
    """Each query is one of Prometheus, of metrics that the table has, and no panel covers another."""
    panels = json.loads(dashboard_file())["panels"]
    queries = [target["expr"] for panel in panels for target in panel["targets"]]
    rules = "groups:\n  - name: dashboard\n    rules:\n"
    for number, query in enumerate(queries):
        filled = query.replace("$__rate_interval", "5m").replace("$instance", ".*")
        assert "$" not in filled
        rules += f"      - record: panel:{number}\n        expr: {json.dumps(filled)}\n"
    (tmp_path / "dashboard.yml").write_text(rules)
    promtool("check", "rules", "dashboard.yml")
    used = {name for query in queries for name in re.findall(r"\bevframe_\w+", query)}
    assert used <= exposed_names()
    places = {(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in panels}
    assert len(places) == len(panels) == len({panel["id"] for panel in panels})


def test_the_rules_are_about_metrics_of_the_table():
    """A misspelt metric would never fire."""
    used = {name for alert in ALERTS for name in re.findall(r"\bevframe_\w+", alert.expr)}
    assert used <= exposed_names()


def exposed_names():
    names = {metric.name for metric in METRICS}
    return names | {f"{metric.family}_bucket" for metric in METRICS if metric.kind == "histogram"}


def test_the_files_of_the_examples_are_those_of_the_tables():
    """What users copy is what the tables make."""
    assert (ROOT / "examples" / "prometheus" / "alerts.yml").read_text() == rules_file()
    assert (ROOT / "examples" / "prometheus" / "dashboard.json").read_text() == dashboard_file()
