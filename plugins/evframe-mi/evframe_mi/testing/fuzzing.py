"""Generated requests of every kind, which a management interface has to survive; needs hypothesis.

EVFRAME_FUZZ_REQUESTS is the number of requests, a few hundred by default.
"""

from __future__ import annotations

import json
import os
import random
import time
from collections.abc import Callable
from typing import Any, Final

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from evframe_mi.testing.measured import Held, Measured

COUNT: Final = int(os.environ.get("EVFRAME_FUZZ_REQUESTS", "500"))
LIMIT_S: Final = 60 + COUNT / 20
"""The number of requests, for the time limit of a test that sends them."""
_AT_ONCE: Final = 5000  # what hypothesis remembers of its examples grows with their number
_PLAIN_EVERY: Final = 20
_MANGLED: Final = 4
_SETTLE_S: Final = 30.0
_MOST_MEMORY_KIB: Final = 16 * 1024

_METHODS: Final = (
    *("event_subscribe", "evi:subscribe", "subscribe", "events_list", "evi:list", "subscribers_list"),
    *("evi:subscribers", "raise_event", "evi:raise", "evi:statistics", "evi:describe"),
    *("which", "help", "version"),
    *("uptime", "ps", "pwd", "core:pwd", "nosuch", "evi:", ":", "counters", "rpc.x"),
)
_WORDS: Final = ("E_A", "E_B", "E_X", "memory:a", "memory:b", "memory:", "udp:1.2.3.4:5", "", "a\0b", "{}", '{"a":1}')
_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(_WORDS)
    | st.sampled_from((0, 1, -1, 60, 2**31, 2**63, 2**64, 1e308, "9" * 5000, "x" * 5000)),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=10,
)
_names = st.sampled_from(
    ("event", "socket", "expire", "params", "command", "mi_cmd", "sort", "filter", "state", "limit")
)
_calls = st.fixed_dictionaries(
    {"method": st.sampled_from(_METHODS) | _values},
    optional={
        "jsonrpc": st.just("2.0") | st.just("2.0") | st.just("2.0") | _values,
        "id": st.integers() | st.text(max_size=8) | _values,
        "params": st.lists(_values, max_size=4) | st.dictionaries(_names, _values, max_size=3) | _values,
        "METHOD": _values,
    },
)


def _texts(value: Any) -> bytes:
    return json.dumps({"jsonrpc": "2.0", **value} if isinstance(value, dict) else value).encode()


_PIECES: Final = (b"", b'"', b"\\", b"{", b"]", b",", b":", b"\\ud800", b"\xc3", b"\0", b"\n", b"99999999999999999999")
requests: Final = st.one_of(
    _calls.map(_texts),
    _calls.map(_texts),
    _values.map(_texts),
    st.lists(_calls, max_size=3).map(_texts),
    st.binary(max_size=100),
    st.builds(
        lambda piece, times: piece * times,
        st.sampled_from([b"[", b'{"a":', b'"', b"\\", b" ", b"\0", b"9"]),
        st.integers(1, 3000),
    ),
)
"""The bytes of a request: right, nearly right, and anything else."""


def mangled(request: bytes, chance: random.Random) -> bytes:
    """Return *request* with a piece taken out, put in, or put in place of another."""
    start = chance.randrange(len(request) + 1)
    stop = start + chance.randrange(20)
    return request[:start] + chance.choice(_PIECES) * chance.randrange(3) + request[stop:]


def fuzz(
    measured: Measured,
    send: Callable[[Any, bytes], None],
    plain: Callable[[], None],
    kinds: st.SearchStrategy[tuple[Any, bytes]],
) -> None:
    """Send `COUNT` requests, and check that plain requests are answered and that no resources leak.

    Each request that hypothesis makes is sent unchanged, and then mangled in a few ways.

    Args:
        measured: the interface.
        send: sends a request in the way of its kind, and fails on an invalid answer; it need not wait for an answer.
        plain: sends a valid request, and fails if the answer is wrong or late.
        kinds: generates pairs of a way to send a request, and the request.
    """
    sent = 0

    def run(kind: tuple[Any, bytes], chance: random.Random) -> None:
        nonlocal sent
        way, request = kind
        for each in (request, *(mangled(request, chance) for _ in range(_MANGLED))):
            send(way, each)
            sent += 1
            if sent % _PLAIN_EVERY == 0:
                plain()

    def some(count: int) -> None:
        start = settings(
            max_examples=-(-count // (_MANGLED + 1)),
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        chances = st.integers(0, 2**64).map(random.Random)
        seed(random.getrandbits(64))(start(given(kinds, chances)(run)))()

    plain()
    fresh = measured.held()
    some(max(_PLAIN_EVERY, COUNT // 10))
    warm = measured.held()
    while sent < COUNT:
        some(min(_AT_ONCE, COUNT - sent))
    held = _settled(measured, plain, fresh)
    print(f"{sent} requests; at first {fresh}, then {warm}, in the end {held}")  # noqa: T201 for a run with -s
    assert (held.files, held.tasks) == (fresh.files, fresh.tasks), (fresh, held)
    assert held.memory_kib - warm.memory_kib < _MOST_MEMORY_KIB, (warm, held)


def _settled(measured: Measured, plain: Callable[[], None], fresh: Held) -> Held:
    """Return the held resources, once they are no more than at first."""
    until = time.monotonic() + _SETTLE_S
    while True:
        plain()
        held = measured.held()
        if (held.files, held.tasks) == (fresh.files, fresh.tasks) or time.monotonic() > until:
            return held
        time.sleep(0.05)


def check_answer(reply: bytes) -> None:
    """Fail if *reply* is no answer of JSON-RPC, or shows a fault of a command."""
    found = json.loads(reply)
    for answer in found if isinstance(found, list) else [found]:
        assert answer["jsonrpc"] == "2.0", reply
        assert ("result" in answer) != ("error" in answer), reply
        assert answer.get("error", {}).get("data") != "Command handler returned null", reply
