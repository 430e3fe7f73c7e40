"""The text that Prometheus reads: the plain format, version 0.0.4, and OpenMetrics 1.0."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Final

from evframe_metrics.catalog import Metric

PLAIN: Final = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS: Final = "application/openmetrics-text; version=1.0.0; charset=utf-8"
END: Final = "# EOF\n"
"""The last line of OpenMetrics."""
_LINES: Final = 512  # of one piece: a tenth of a millisecond


def readable(text: str) -> str:
    """Return *text* with a question mark for each byte that is no UTF-8."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def label(text: str) -> str:
    """Return *text*, which is `readable`, as a value of a label."""
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def labels(metric: Metric, values: Sequence[str]) -> str:
    """Return the *values* of the labels of *metric* with their names, between braces."""
    if not values:
        return ""
    pairs = zip(metric.labels, map(readable, values), strict=True)
    return "{" + ",".join(f'{name}="{label(value)}"' for name, value in pairs) + "}"


def number(value: float) -> str:
    """Return a number as it is written; infinity is ``+Inf``."""
    return "+Inf" if value == math.inf else repr(value)


def head(metric: Metric, *, is_open: bool) -> str:
    """Return the lines that introduce a metric; *is_open* chooses OpenMetrics."""
    name = metric.family if is_open else metric.name
    return f"# HELP {name} {metric.help}\n# TYPE {name} {metric.kind}\n"


def samples(metric: Metric, found: Iterable[tuple[tuple[str, ...], float]]) -> Iterator[str]:
    """Yield a line for each value of *found*, after its labels; those whose labels are read alike are added up."""
    sums: dict[str, float] = {}
    for values, value in found:
        key = labels(metric, values)
        sums[key] = sums.get(key, 0) + value
    for key, value in sums.items():
        yield f"{metric.name}{key} {number(value)}\n"


def family(metric: Metric, lines: Iterable[str], *, is_open: bool) -> Iterator[bytes]:
    """Yield the text of a metric with *lines* in small pieces; nothing without lines."""
    rest = iter(lines)
    first = next(rest, None)
    if first is None:
        return
    text = head(metric, is_open=is_open) + first + "".join(islice(rest, _LINES))
    while text:
        yield text.encode()
        text = "".join(islice(rest, _LINES))
