"""The page of the documentation, of the tables of metrics and of alerts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from evframe_metrics.alerts import ALERTS
from evframe_metrics.catalog import DETAIL, METRICS, Metric
from evframe_metrics.delays import BOUNDS_S


def page() -> str:
    """Return the page, in Markdown."""
    return "".join(_parts())


def _parts() -> Iterator[str]:
    yield "# Metrics\n\nThe metrics of [`evframe-metrics`](plugins/metrics.md).\n"
    yield "`transport` is the scheme of the subscriber's socket, such as `udp`.\n\n"
    yield from _table([metric for metric in METRICS if metric not in DETAIL])
    bounds = ", ".join(f"{bound:g}" for bound in BOUNDS_S)
    yield f"\nThe bounds of the histogram are {bounds} seconds.\n"
    yield "\n## Metrics of each subscriber\n\nThe option `detail` adds these. `socket` is the text in listings, without"
    yield " secrets, or `other`.\n\n"
    yield from _table(DETAIL)
    yield "\n## Alerts\n\n| alert | when | for | severity | what to do |\n|---|---|---|---|---|\n"
    for alert in ALERTS:
        expr = alert.expr.replace("|", "\\|")
        yield f"| `{alert.name}` | `{expr}` | {alert.minutes} min | {alert.severity} | {alert.action} |\n"


def _table(metrics: Sequence[Metric]) -> Iterator[str]:
    yield "| metric | kind | labels | meaning | in `get_statistics` |\n|---|---|---|---|---|\n"
    for metric in metrics:
        labels = ", ".join(f"`{name}`" for name in metric.labels)
        yield f"| `{metric.name}` | {metric.kind} | {labels} | {metric.help} | {metric.statistics} |\n"
