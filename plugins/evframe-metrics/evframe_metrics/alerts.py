"""The rules of alerts: one table that makes the file for Prometheus, and the section of the page."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Final, Literal

import attrs


@attrs.frozen
class Alert:
    """One rule."""

    name: str
    expr: str
    minutes: int
    """For how long the expression has to be true."""
    severity: Literal["critical", "warning", "info"]
    summary: str
    action: str
    """What an operator does then."""


ALERTS: Final = (
    Alert(
        "EvframeDown",
        'up{job="evframe"} == 0',
        1,
        "critical",
        "{{ $labels.instance }} does not answer",
        "Look at the process and its log; the job of Prometheus is called evframe in this rule.",
    ),
    Alert(
        "EvframeNotReady",
        "evframe_ready == 0",
        1,
        "critical",
        "{{ $labels.instance }} is not ready: a required subscriber fails, or a fleet has no brokers",
        "Read /readyz, which names what fails and the reason.",
    ),
    Alert(
        "EvframeBehind",
        "evframe_queue_oldest_age_seconds > 60",
        2,
        "warning",
        "an event over {{ $labels.transport }} waits for {{ $value | humanizeDuration }}",
        "A subscriber is away or too slow: see evframe subscribers. This alert comes before events are lost.",
    ),
    Alert(
        "EvframeEventsLost",
        'increase(evframe_deliveries_total{outcome="failed",reason!="unsubscribed"}[5m]) > 0'
        ' or (evframe_deliveries_total{outcome="failed",reason!="unsubscribed"} > 0'
        " unless evframe_deliveries_total offset 5m)",
        0,
        "warning",
        "events over {{ $labels.transport }} are lost: {{ $labels.reason }}",
        "Look the reason up on the page of reasons; events that a subscriber must not lose are kept with keep and"
        " dead_letter.",
    ),
    Alert(
        "EvframeSubscribersAway",
        "evframe_subscribers_away > 0",
        5,
        "warning",
        "{{ $value }} subscribers over {{ $labels.transport }} cannot be reached",
        "See evframe subscribers for their names and reasons; events wait for those that can be retried.",
    ),
    Alert(
        "EvframeSlowDeliveries",
        "histogram_quantile(0.99, sum by (instance, transport, le) (rate(evframe_delivery_seconds_bucket[5m]))) > 1",
        10,
        "warning",
        "deliveries over {{ $labels.transport }} take {{ $value | humanizeDuration }}",
        "The peers answer slowly, or the process has too much to do.",
    ),
    Alert(
        "EvframeDeadLetters",
        "delta(evframe_dead_letters[15m]) > 0",
        0,
        "warning",
        "{{ $labels.instance }} has more dead letters",
        "List them with dead_letters:list, mend the cause, and replay them.",
    ),
    Alert(
        "EvframeReloadRefused",
        "evframe_last_reload_successful == 0",
        5,
        "warning",
        "{{ $labels.instance }} works with an older configuration than that of its files",
        "evframe check names the problems; mend them and reload, or else the next start fails.",
    ),
    Alert(
        "EvframeFleetPartitions",
        'evframe_plugin_levels{group="fleet",name="partitions_without_owner"} > 0',
        1,
        "critical",
        "no gateway of the fleet delivers {{ $value }} partitions, as {{ $labels.instance }} finds",
        "See fleet:status for the gateways that are dead, and whether the brokers can be used: events wait meanwhile.",
    ),
    Alert(
        "EvframeFleetEventsLost",
        'increase(evframe_plugin_counts_total{group="fleet",name=~"lost_.+",name!="lost_unsubscribed"}[5m]) > 0',
        0,
        "critical",
        "events of the fleet are lost at {{ $labels.instance }}: {{ $labels.name }}",
        "The log has the partition. Raise retention_s if subscribers are away for longer than that.",
    ),
    Alert(
        "EvframeDetailCapped",
        "evframe_subscribers_in_other > 0",
        15,
        "info",
        "{{ $value }} subscribers have no series of detail",
        "Raise max_series, or do without detail: the sums are complete.",
    ),
)
"""All rules."""


def rules_file() -> str:
    """Return the file for ``rule_files`` of Prometheus, in YAML."""
    return "".join(_lines())


def _lines() -> Iterator[str]:
    yield "# Written by docs/generate.py of the table in evframe_metrics/alerts.py.\n"
    yield "groups:\n  - name: evframe\n    rules:\n"
    for alert in ALERTS:
        yield f"      - alert: {alert.name}\n"
        yield f"        expr: {json.dumps(alert.expr)}\n"
        yield f"        for: {alert.minutes}m\n"
        yield f"        labels:\n          severity: {alert.severity}\n"
        yield f"        annotations:\n          summary: {json.dumps(alert.summary)}\n"
        yield f"          action: {json.dumps(alert.action)}\n"
