"""Measure evframe beside the physical limit: `python benchmarks [NAME…] [--rounds N] [--json]`.

Every round runs the bare C loop, the bare Python loop and evframe one after the other, so that
all of them meet the same machine; the table has the medians, and the median of the ratios.
For brokers and servers, the column of Python is the client library's own loop.

The rows flatter: undeclared events with one dict, a thousand in a turn of the loop, one plugin. `own.py` has the others.
"""

from __future__ import annotations

import argparse
import gc
import json
import statistics
import sys
import tempfile
from pathlib import Path

from evframe_wire.open_files import raise_limit
from limits import Limits
from paths import PATHS as TRANSPORTS
from paths import Measurement, Path_
from sources import PATHS as SOURCES

from evframe.cli.gateway import run_loop, set_up_collector

HERE = Path(__file__).resolve().parent
PATHS = (*TRANSPORTS, *SOURCES)


async def measure(path: Path_, limits: Limits, rounds: int) -> dict[str, object]:
    """Return the medians of *path*; the first round only warms up."""
    results: list[Measurement] = []
    for _ in range(rounds + 1):
        gc.collect()
        results.append(await path.run(limits))
    del results[0]
    ours = statistics.median(result.ours for result in results)
    row: dict[str, object] = {"path": path.name, "evframe": ours, "target": path.target}
    for name in ("c", "python"):
        values = [getattr(result, name) for result in results]
        if all(values):
            row[name] = statistics.median(values)
            row[f"of_{name}"] = statistics.median(
                result.ours / value for result, value in zip(results, values, strict=True)
            )
    row["lost"] = max(result.lost for result in results)
    return row


def show(row: dict[str, object]) -> None:
    """Print one line of the table."""

    def number(name: str, form: str) -> str:
        value = row.get(name)
        return format(value, form) if value is not None else "-"

    print(
        f"{row['path']:34} {number('evframe', '14,.0f')} {number('c', '14,.0f')} {number('of_c', '7.2f')} "
        f"{number('python', '14,.0f')} {number('of_python', '7.2f')} {row['lost']:6}  {row['target']}",
        flush=True,
    )


def main() -> int:
    """Run the paths that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="parts of the names of paths; all without one")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true", help="print JSON lines")
    arguments = parser.parse_args()
    chosen = [path for path in PATHS if not arguments.names or any(name in path.name for name in arguments.names)]
    if not chosen:
        print(f"expected one of {[path.name for path in PATHS]}", file=sys.stderr)
        return 2
    # As the gateway runs: its collector looks less often, and its loop is uvloop where there is one.
    set_up_collector()
    raise_limit()
    if not arguments.json:
        print(
            f"{'path':34} {'evframe/s':>14} {'C loop/s':>14} {'ratio':>7} {'Python/s':>14} {'ratio':>7} {'lost':>6}  target"
        )

    async def run() -> None:
        with tempfile.TemporaryDirectory() as folder:
            limits = Limits(Path(folder))
            try:
                for path in chosen:
                    row = await measure(path, limits, arguments.rounds)
                    print(json.dumps(row), flush=True) if arguments.json else show(row)
            finally:
                limits.close()

    run_loop(run())
    return 0


if __name__ == "__main__":
    sys.exit(main())
