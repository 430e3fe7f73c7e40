"""What an event costs as a CloudEvent, beside its notification of JSON-RPC, and beside the official SDK.

usage: python benchmarks/cloud_events.py [rounds]
       python benchmarks/cloud_events.py --count KIND EVENTS   (what cachegrind runs)

Every event has another dict, raised a microsecond after the one before. The kinds take turns, so that all of them meet
the same machine: the figures are microseconds for each event, medians of the rounds, with the medians of the rounds'
ratios to the notification. Where valgrind is installed, instructions follow: the difference of two lengths of a run,
divided by the events, without what makes the dicts and, for CloudEvents, the notifications.
"""

from __future__ import annotations

import re
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent
from evframe_cloudevents import Attributes, Envelope

import evframe

EVENTS: Final = 6_400
IN_A_BATCH: Final = 64
NAMES: Final = Attributes("ce_")
DEFINITION: Final = evframe.EventDefinition(0, "E_BENCH")
ENVELOPE: Final = Envelope("https://gateway.example/1", "org.example.")


def dicts(count: int) -> list[dict[str, Any]]:
    """Return parameters, other ones for each event."""
    return [{"ip": "192.168.1.10", "hits": number} for number in range(count)]


def events_of(params: Sequence[dict[str, Any]]) -> list[evframe.Event]:
    """Return events that are raised one microsecond after the other."""
    now = time.monotonic()
    return [DEFINITION.snapshot(each, now + number * 1e-6) for number, each in enumerate(params)]


def notifications(params: Sequence[dict[str, Any]]) -> None:
    """Encode notifications, as each raise does."""
    now = time.monotonic()
    for each in params:
        DEFINITION.snapshot(each, now)


def batches(events: Sequence[evframe.Event]) -> None:
    """Encode structured CloudEvents, 64 in a batch."""
    for start in range(0, len(events), IN_A_BATCH):
        ENVELOPE.structured(events[start : start + IN_A_BATCH])


def single(events: Sequence[evframe.Event]) -> None:
    """Encode structured CloudEvents, each in a batch alone."""
    for event in events:
        ENVELOPE.structured((event,))


def binary(events: Sequence[evframe.Event]) -> None:
    """Make the headers and the data of binary CloudEvents."""
    messages = ENVELOPE.binary(NAMES).messages
    for start in range(0, len(events), IN_A_BATCH):
        messages(events[start : start + IN_A_BATCH])


def single_binary(events: Sequence[evframe.Event]) -> None:
    """Make the headers and the data of binary CloudEvents, each in a batch alone."""
    messages = ENVELOPE.binary(NAMES).messages
    for event in events:
        messages((event,))


def sdk(events: Sequence[evframe.Event]) -> None:
    """Encode structured CloudEvents with the official SDK."""
    for event in events:
        attributes = {"type": "org.example.E_BENCH", "source": "https://gateway.example/1"}
        JSONFormat().write(CloudEvent(attributes | {"datacontenttype": "application/json"}, dict(event.params)))


KINDS: Final[dict[str, Callable[[Any], None]]] = {
    "notification": notifications,
    "structured, 64 in a batch": batches,
    "structured, one in a batch": single,
    "binary, 64 in a batch": binary,
    "binary, one in a batch": single_binary,
    "structured, by the SDK": sdk,
}


def given(kind: str, count: int) -> Any:
    """Return what a kind begins with."""
    return dicts(count) if kind == "notification" else events_of(dicts(count))


def microseconds(kind: str) -> float:
    """Return the processor time of an event."""
    work = given(kind, EVENTS)
    began = time.process_time()
    KINDS[kind](work)
    return (time.process_time() - began) / EVENTS * 1e6


def instructions(kind: str, *, with_kind: bool) -> int:
    """Return the instructions of an event, with the kind or with what it begins with alone."""
    found = []
    for count in (EVENTS, 2 * EVENTS):
        command = [sys.executable, __file__, "--count" if with_kind else "--begin", kind, str(count)]
        tool = ["valgrind", "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null"]
        done = subprocess.run([*tool, *command], capture_output=True, text=True, check=True)
        found.append(int(re.sub(r"\D", "", re.search(r"I\s+refs:\s+([\d,]+)", done.stderr)[1])))  # type: ignore[index]
    return (found[1] - found[0]) // EVENTS


def main(rounds: int) -> None:
    """Print the table."""
    found: dict[str, list[float]] = {kind: [] for kind in KINDS}
    for _ in range(rounds + 1):
        for kind, values in found.items():
            values.append(microseconds(kind))
    first = found["notification"][1:]
    has_valgrind = shutil.which("valgrind") is not None
    base = 0
    for kind, values in found.items():
        ratio = statistics.median(value / one for value, one in zip(values[1:], first, strict=True))
        line = f"{kind:28} {statistics.median(values[1:]):8.2f} {ratio:8.2f}"
        if has_valgrind:
            own = instructions(kind, with_kind=True) - instructions(kind, with_kind=False)
            base = base or own
            line += f" {own:10,} {own / base:8.2f}"
        print(line, flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] in (["--count"], ["--begin"]):
        beginning = given(sys.argv[2], int(sys.argv[3]))
        if sys.argv[1] == "--count":
            KINDS[sys.argv[2]](beginning)
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 15)
