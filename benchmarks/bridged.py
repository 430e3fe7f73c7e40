"""What a bridge loses of datagrams whose sender does not wait, as OpenSIPS: `python benchmarks/bridged.py`.

The sender is another process. It sends bursts with a pause between them, and counts what the kernel refuses.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from evframe_client.payload_reader import PayloadReader
from evframe_ingest import LARGE_BYTES
from evframe_opensips import InstanceOptions, Options
from evframe_opensips.endpoints import bind
from evframe_opensips.intake import InstanceIntake

from evframe.cli.gateway import run_loop

EVENTS = 10_000
BURSTS = (1, 10, 20, 100, 1000)
PAUSE_S = 0.01
EVENT = b'{"jsonrpc":"2.0","method":"E_X","params":{"ip":"192.0.2.1","port":5060,"user":"alice","text":"%s"}}' % (
    b"x" * 120
)
SENDER = """
import socket, sys, time
kind, place, burst, pause_s, count = sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4]), int(sys.argv[5])
event = sys.stdin.buffer.read()
sock = socket.socket(socket.AF_UNIX if kind == "unix" else socket.AF_INET, socket.SOCK_DGRAM)
sock.setblocking(False)
sock.connect(place if kind == "unix" else ("127.0.0.1", int(place)))
refused = 0
for start in range(0, count, burst):
    for _ in range(burst):
        try:
            sock.send(event)
        except BlockingIOError:
            refused += 1
    time.sleep(pause_s)
print(refused)
"""


async def lost(kind: str, burst: int, folder: str) -> float:
    """Return the percentage of events that do not arrive."""
    path = f"{folder}/one.sock" if kind == "unix" else None
    options = InstanceOptions("one", "http://127.0.0.1:1/mi", kind, path=path)  # type: ignore[arg-type]
    raised = 0

    class Context:
        """What the intake raises events with."""

        def raise_event(self, *_: object) -> None:
            nonlocal raised
            raised += 1

    intake = InstanceIntake(Context(), "one", "", time.monotonic)  # type: ignore[arg-type]
    intake.expected = {"E_X"}
    receiver, _ = bind(options, Options([options]), lambda: None)
    reader = PayloadReader(receiver, intake, LARGE_BYTES)
    reader.begin()
    place = path or str(receiver.address[1])
    words = [sys.executable, "-c", SENDER, kind, place, str(burst), str(PAUSE_S), str(EVENTS)]
    process = await asyncio.create_subprocess_exec(*words, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    await process.communicate(EVENT)
    await asyncio.sleep(0.2)
    await reader.end()
    receiver.close()
    return 100 * (1 - raised / EVENTS)


async def measure() -> None:
    """Print a line for each kind and each burst."""
    room = Path("/proc/sys/net/unix/max_dgram_qlen").read_text(encoding="ascii").strip()
    print(f"{EVENTS} events of {len(EVENT)} bytes, {PAUSE_S * 1000:g} ms between bursts, max_dgram_qlen {room}")
    for kind in ("udp", "unix"):
        for burst in BURSTS:
            with tempfile.TemporaryDirectory() as folder:
                print(f"{kind:5} bursts of {burst:5}: {await lost(kind, burst, folder):6.2f} % lost", flush=True)


if __name__ == "__main__":
    run_loop(measure())
