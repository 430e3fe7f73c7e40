"""The metrics: one table that names and explains each, and that makes the page, the dashboard and the scrape."""

from __future__ import annotations

from typing import Final, Literal

import attrs

Kind = Literal["counter", "gauge", "histogram"]
Unit = Literal["short", "s", "bytes", "ops"]


@attrs.frozen
class Panel:
    """How a dashboard shows a metric."""

    title: str
    expr: str
    """The query; ``$instance`` stands for the chosen processes."""
    legend: str
    unit: Unit = "short"


@attrs.frozen
class Metric:
    """One family of series."""

    family: str
    """The name, for a counter without the end ``_total``."""
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()
    statistics: str = ""
    """Where `get_statistics` has the same number."""
    panel: Panel | None = None

    @property
    def name(self) -> str:
        """The name of the series."""
        return f"{self.family}_total" if self.kind == "counter" else self.family


RAISED: Final = Metric(
    "evframe_events_raised",
    "counter",
    "Events that were raised, with or without a subscriber.",
    ("event",),
    "`events:` and the name of the event",
    Panel(
        "Events raised",
        'sum by (event) (rate(evframe_events_raised_total{instance=~"$instance"}[$__rate_interval]))',
        "{{event}}",
        "ops",
    ),
)
DELIVERIES: Final = Metric(
    "evframe_deliveries",
    "counter",
    "Events that have their outcome at a subscriber, which is delivered or failed; a failure has a reason.",
    ("transport", "outcome", "reason"),
    "`deliveries:`, such as `udp_delivered` and `udp_failed_refused`; their sums are `evi:delivered` and `evi:failed`",
    Panel(
        "Deliveries",
        'sum by (transport, outcome, reason) (rate(evframe_deliveries_total{instance=~"$instance"}[$__rate_interval]))',
        "{{transport}} {{outcome}} {{reason}}",
        "ops",
    ),
)
QUEUED: Final = Metric(
    "evframe_queue_events",
    "gauge",
    "Events that wait for a subscriber or are under way to it, in memory and on disk.",
    ("transport",),
    "`deliveries:`, such as `udp_queued`; their sum is `evi:queued`",
    Panel(
        "Events that wait",
        'sum by (transport) (evframe_queue_events{instance=~"$instance"})',
        "{{transport}}",
    ),
)
OLDEST: Final = Metric(
    "evframe_queue_oldest_age_seconds",
    "gauge",
    "Time since the raise of the oldest event that waits in memory for a subscriber; 0 when none waits.",
    ("transport",),
    panel=Panel(
        "Age of the oldest event that waits",
        'max by (transport) (evframe_queue_oldest_age_seconds{instance=~"$instance"})',
        "{{transport}}",
        "s",
    ),
)
DELAY: Final = Metric(
    "evframe_delivery_seconds",
    "histogram",
    "Time from the raise of the oldest event of a batch to its outcome; one observation for each batch.",
    ("transport",),
    "`batches:` has how many batches of each transport",
    Panel(
        "Delay of deliveries, 99 of 100 batches",
        "histogram_quantile(0.99, sum by (le, transport) "
        '(rate(evframe_delivery_seconds_bucket{instance=~"$instance"}[$__rate_interval])))',
        "{{transport}}",
        "s",
    ),
)
SUBSCRIBERS: Final = Metric(
    "evframe_subscribers",
    "gauge",
    "Subscribers.",
    ("transport",),
    "their sum is `evi:subscribers`",
    Panel("Subscribers", 'sum by (transport) (evframe_subscribers{instance=~"$instance"})', "{{transport}}"),
)
AWAY: Final = Metric(
    "evframe_subscribers_away",
    "gauge",
    "Subscribers that cannot be reached.",
    ("transport",),
    panel=Panel(
        "Subscribers that are away",
        'sum by (transport) (evframe_subscribers_away{instance=~"$instance"})',
        "{{transport}}",
    ),
)
LEASES: Final = Metric("evframe_leases", "gauge", "Subscriptions that have not ended.", ("event",))
DEAD_LETTERS: Final = Metric(
    "evframe_dead_letters",
    "gauge",
    "Dead letters that are kept.",
    (),
    "`dead_letters:kept`",
    Panel("Dead letters", 'evframe_dead_letters{instance=~"$instance"}', "{{instance}}"),
)
DEAD_LETTER_BYTES: Final = Metric(
    "evframe_dead_letter_bytes", "gauge", "Bytes of the dead letters that are kept.", (), "`dead_letters:bytes`"
)
JOURNAL_EVENTS: Final = Metric(
    "evframe_journal_events",
    "gauge",
    "Events on disk that have no outcome yet.",
    (),
    "`journal:on_disk`",
)
JOURNAL_BYTES: Final = Metric(
    "evframe_journal_bytes",
    "gauge",
    "Size of the file in which events wait on disk.",
    (),
    "`journal:bytes`",
    Panel("Journal on disk", 'evframe_journal_bytes{instance=~"$instance"}', "{{instance}}", "bytes"),
)
PLUGIN_COUNTER: Final = Metric(
    "evframe_plugin_counts",
    "counter",
    "What plugins count that only grows, by the group and the name that get_statistics has.",
    ("group", "name"),
    "the groups of plugins",
)
PLUGIN_GAUGE: Final = Metric(
    "evframe_plugin_levels",
    "gauge",
    "What plugins count that may fall too, by the group and the name that get_statistics has.",
    ("group", "name"),
    "the groups of plugins",
)
READY: Final = Metric(
    "evframe_ready",
    "gauge",
    "1 when /readyz answers 200, else 0.",
    panel=Panel("Ready", 'evframe_ready{instance=~"$instance"}', "{{instance}}"),
)
GENERATION: Final = Metric(
    "evframe_reload_generation",
    "gauge",
    "How many reloads of the configuration have been applied since the start.",
    (),
    "`metrics:reloads`",
)
LAST_RELOAD: Final = Metric(
    "evframe_last_reload_successful",
    "gauge",
    "0 when the last reload of the configuration was refused, else 1.",
    panel=Panel("Last reload", 'evframe_last_reload_successful{instance=~"$instance"}', "{{instance}}"),
)
RELOADS_REFUSED: Final = Metric(
    "evframe_reloads_refused",
    "counter",
    "Reloads of the configuration that were refused.",
    (),
    "`metrics:reloads_refused`",
)
IN_OTHER: Final = Metric(
    "evframe_subscribers_in_other",
    "gauge",
    "Subscribers without series of detail, because max_series was reached; 0 without detail.",
    (),
    "`metrics:subscribers_in_other`",
)
SUBSCRIBER_DELIVERIES: Final = Metric(
    "evframe_subscriber_deliveries",
    "counter",
    "As evframe_deliveries_total, for one subscriber, without reasons.",
    ("socket", "outcome"),
)
SUBSCRIBER_QUEUED: Final = Metric(
    "evframe_subscriber_queue_events", "gauge", "As evframe_queue_events, for one subscriber.", ("socket",)
)
SUBSCRIBER_OLDEST: Final = Metric(
    "evframe_subscriber_queue_oldest_age_seconds",
    "gauge",
    "As evframe_queue_oldest_age_seconds, for one subscriber.",
    ("socket",),
)
SUBSCRIBER_AWAY: Final = Metric(
    "evframe_subscriber_away",
    "gauge",
    "1 when the subscriber cannot be reached, else 0; for other, how many cannot be.",
    ("socket",),
)
DETAIL: Final = (SUBSCRIBER_DELIVERIES, SUBSCRIBER_QUEUED, SUBSCRIBER_OLDEST, SUBSCRIBER_AWAY)
"""The metrics that the option ``detail`` adds."""
SERIES_EACH: Final = 5
"""How many series of `DETAIL` a subscriber has."""
FROM_GROUPS: Final = {
    ("dead_letters", "kept"): DEAD_LETTERS,
    ("dead_letters", "bytes"): DEAD_LETTER_BYTES,
    ("journal", "on_disk"): JOURNAL_EVENTS,
    ("journal", "bytes"): JOURNAL_BYTES,
}
"""Numbers of other plugins that have a metric, by group and name."""
METRICS: Final = (
    RAISED,
    DELIVERIES,
    QUEUED,
    OLDEST,
    DELAY,
    SUBSCRIBERS,
    AWAY,
    LEASES,
    JOURNAL_EVENTS,
    JOURNAL_BYTES,
    DEAD_LETTERS,
    DEAD_LETTER_BYTES,
    READY,
    GENERATION,
    LAST_RELOAD,
    RELOADS_REFUSED,
    PLUGIN_COUNTER,
    PLUGIN_GAUGE,
    IN_OTHER,
    *DETAIL,
)
"""All metrics, in the order of the page."""
