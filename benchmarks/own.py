"""Measure the processor time of the raising process for each event: `python benchmarks/own.py [NAME…] [--base COMMIT]`.

The rows are events as a service raises them: a new dict for each, declared or not, with every installed plugin
loaded, 50 or 1 of them in a turn of the loop, until all outcomes are known. Beside them stands the row that
flatters, which is how `python benchmarks` measures: undeclared, one dict for all, one plugin, 1,000 in a turn.

Every figure is of a separate process, `raising.py`; peers are other processes. With `--base` each round runs this
checkout and that of a commit one after the other, and the ratio is the median of the rounds' ratios: other work on
the machine meets both. The installed packages say which plugins there are; the modules are those of the checkout.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import peers
from limits import Limits
from paths import free_port, udp_receivers

HERE = Path(__file__).resolve().parent
Peer = Callable[[Limits], contextlib.AbstractContextManager[str]]


@attrs.frozen
class Way:
    """How events are raised."""

    name: str
    turn: int
    declared: bool = False
    flatters: bool = False


@attrs.frozen
class Row:
    """One line of the table."""

    path: str
    plugin: str
    peer: Peer
    way: Way
    params: int = 2
    count: int = 100_000
    target: str = ""

    @property
    def name(self) -> str:
        """What the line is called by."""
        return f"{self.path}, {self.params} params, {self.way.name}"


FLATTERING = Way("as python benchmarks", 1000, flatters=True)
MANY, MANY_DECLARED = Way("50 a turn", 50), Way("declared, 50 a turn", 50, declared=True)
ONE, ONE_DECLARED = Way("1 a turn", 1), Way("declared, 1 a turn", 1, declared=True)
WAYS = (FLATTERING, MANY, MANY_DECLARED, ONE, ONE_DECLARED)


@contextlib.contextmanager
def nobody(_: Limits) -> Iterator[str]:
    """Yield no subscriber."""
    yield ""


def udp(count: int) -> Peer:
    """Return what yields UDP sockets that no process reads."""

    @contextlib.contextmanager
    def bound(_: Limits) -> Iterator[str]:
        with udp_receivers(count) as ports:
            yield " ".join(f"udp:127.0.0.1:{port}" for port in ports)

    return bound


@contextlib.contextmanager
def unix(bare: Limits) -> Iterator[str]:
    """Yield a UNIX datagram socket with a reader."""
    path = bare.fresh("datagram")
    with bare.sink("unix", path):
        yield f"unix:{path}"


@contextlib.contextmanager
def tcp(bare: Limits) -> Iterator[str]:
    """Yield a TCP peer that reads."""
    port = free_port()
    with bare.sink("tcp", port):
        yield f"tcp:127.0.0.1:{port}"


@contextlib.contextmanager
def flatstore(bare: Limits) -> Iterator[str]:
    """Yield a file."""
    yield f"flatstore:{bare.fresh('lines')}"


@contextlib.contextmanager
def rabbitmq(bare: Limits) -> Iterator[str]:
    """Yield a queue of a broker."""
    port = bare.peer(peers.rabbitmq)
    yield f"rabbitmq:127.0.0.1:{port}/{asyncio.run(peers.new_queue(port))}"


def route(kind: str) -> Peer:
    """Return what yields a route; `raising.py` makes it."""
    return lambda _: contextlib.nullcontext(f"route:{kind}")


def rows(path: str, plugin: str, peer: Peer, ways: tuple[Way, ...] = WAYS, **options: Any) -> list[Row]:
    """Return the lines of a path: those that are said, or all."""
    targets = options.pop("targets", {})
    return [Row(path, plugin, peer, way, target=targets.get(way, ""), **options) for way in ways]


ROWS = (
    *rows("no subscriber", "", nobody, (FLATTERING, MANY, MANY_DECLARED), targets={MANY_DECLARED: "≤ 0.36"}),
    *rows("udp", "datagram", udp(1), targets={ONE_DECLARED: "≤ 5", MANY_DECLARED: "undeclared + 0.15"}),
    *rows("udp", "datagram", udp(1), params=10, targets={MANY_DECLARED: "undeclared + 0.45"}),
    *rows("udp, 100 subscribers", "datagram", udp(100), (MANY_DECLARED, ONE_DECLARED), count=3_000),
    *rows("unix", "datagram", unix, targets={MANY_DECLARED: "≤ 3.6"}),
    *rows("flatstore", "flatstore", flatstore, targets={MANY_DECLARED: "≤ 2.2", ONE_DECLARED: "≤ 5"}),
    *rows("flatstore", "flatstore", flatstore, params=10, targets={MANY_DECLARED: "≤ 3.5"}),
    *rows("tcp", "stream", tcp, targets={ONE_DECLARED: "≤ 10"}),
    *rows("route, inline", "route", route("inline"), targets={MANY_DECLARED: "≤ 2.9"}),
    *rows("route, async", "route", route("async"), targets={MANY_DECLARED: "≤ 2.9"}),
    *rows("route, thread", "route", route("thread"), targets={MANY_DECLARED: "≤ 2.9"}),
    *rows("rabbitmq", "rabbitmq", rabbitmq, count=20_000, targets={MANY_DECLARED: "≤ 6", ONE_DECLARED: "≤ 60"}),
)


def measure(row: Row, checkout: Path, bare: Limits) -> tuple[float, int]:
    """Return the microseconds of an event, with the modules of *checkout*, and how many events were lost."""
    folders = [checkout, *sorted((checkout / "plugins").iterdir())]
    with row.peer(bare) as sockets:
        work = {
            "sockets": sockets.split(),
            "plugin": row.plugin,
            "params": row.params,
            "count": row.count,
            **attrs.asdict(row.way),
        }
        output = subprocess.run(
            [sys.executable, HERE / "raising.py", json.dumps(work)],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, folders))},
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        ).stdout
    answer = json.loads(output)
    assert Path(answer["module"]).is_relative_to(checkout), answer  # else another one's modules were measured
    return answer["us"], answer["lost"]


def compare(row: Row, checkouts: list[Path], rounds: int, bare: Limits) -> None:
    """Measure the checkouts in turns and print the medians."""
    results: list[list[tuple[float, int]]] = []
    for number in range(rounds):
        order = checkouts if number % 2 else checkouts[::-1]  # neither is always the first one
        found = {checkout: measure(row, checkout, bare) for checkout in order}
        results.append([found[checkout] for checkout in checkouts])
    medians = [statistics.median(column[0] for column in each) for each in zip(*results, strict=True)]
    ratio = statistics.median(each[0][0] / each[-1][0] for each in results)
    before = f"{medians[-1]:8.2f} {ratio:6.2f}" if len(checkouts) > 1 else f"{'-':>8} {'-':>6}"
    lost = max(each[0][1] for each in results)
    print(f"{row.name:52} {medians[0]:8.2f} {before} {lost:6}  {row.target}", flush=True)


@contextlib.contextmanager
def checked_out(commit: str) -> Iterator[Path]:
    """Yield a folder with the files of *commit*."""
    with tempfile.TemporaryDirectory() as folder:
        archive = subprocess.run(["git", "archive", commit], cwd=HERE.parent, check=True, stdout=subprocess.PIPE)
        subprocess.run(["tar", "-x", "-C", folder], input=archive.stdout, check=True)
        yield Path(folder).resolve()


def main() -> int:
    """Measure the rows that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="parts of the names of rows; all without one")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--base", metavar="COMMIT", help="compare with the checkout of a commit")
    arguments = parser.parse_args()
    chosen = [row for row in ROWS if not arguments.names or any(name in row.name for name in arguments.names)]
    if not chosen:
        print(f"expected one of {[row.name for row in ROWS]}", file=sys.stderr)
        return 2
    with contextlib.ExitStack() as stack:
        checkouts = [HERE.parent]
        if arguments.base:
            checkouts.append(stack.enter_context(checked_out(arguments.base)))
        bare = Limits(Path(stack.enter_context(tempfile.TemporaryDirectory())))
        stack.callback(bare.close)
        print(f"{'CPU µs for each event':52} {'now':>8} {'base':>8} {'ratio':>6} {'lost':>6}  target")
        for row in chosen:
            compare(row, checkouts, arguments.rounds, bare)
    return 0


if __name__ == "__main__":
    sys.exit(main())
