"""The flatstore transport on real files."""

import asyncio
import json
import os
import subprocess
import sys
from contextlib import asynccontextmanager, contextmanager

import pytest
from evframe_flatstore import FlatstoreTransport, Options
from evframe_mi import Management
from evframe_mi.testing import management

import evframe
from evframe.config import Config, CoreOptions
from evframe.testing import MemoryTransport, Peer, TransportContract, no_garbage, until

ROTATION = "E_FLATSTORE_ROTATION"


class Clock:
    """A wall clock that stands still until a test advances it."""

    def __init__(self, now=1_795_397_618.0):
        self.now = now
        self.sleepers = []

    def __call__(self):
        return self.now

    async def sleep(self, seconds):
        future = asyncio.get_running_loop().create_future()
        self.sleepers.append((self.now + seconds, future))
        await future

    def advance(self, seconds):
        self.now += seconds
        for at, future in self.sleepers:
            if at <= self.now and not future.done():
                future.set_result(None)


def interface(clock=None, **options):
    times = {} if clock is None else {"clock": clock, "sleep": clock.sleep}
    transport = FlatstoreTransport(Options(**options), **times)
    return evframe.EventInterface(plugins={"mi": Management(), "flatstore": transport, "memory": MemoryTransport()})


class TestContract(TransportContract):
    """What every transport does."""

    bad_sockets = ("flatstore:", "flatstore:/", "flatstore:/tmp", "flatstore:/no/such/dir/f", "flatstore: /tmp/x/f")
    lost_sockets = ("flatstore:/dev/full",)
    may_block = (
        ("os.stat", "evframe_flatstore/plugin.py", "_check"),  # of the socket's folder
        ("threading.Lock.acquire", "evframe_flatstore/plugin.py", "_write"),  # for as long as no one would notice
    )

    @pytest.fixture(autouse=True)
    def folder(self, tmp_path):
        self.path = tmp_path / "f"

    def transport(self):
        return FlatstoreTransport()

    @asynccontextmanager
    async def peer(self):
        taken = 0

        async def receive(count):
            nonlocal taken
            lines = []
            while len(lines) < count:
                await asyncio.sleep(0.001)
                lines = self.path.read_bytes().splitlines()[taken:] if self.path.exists() else []
            taken += count
            return lines[:count]

        yield Peer(f"flatstore:{self.path}", receive)


async def write(path, params, name="E_TEST", **options):
    async with interface(**options) as events:
        events.register_event(name)
        events.subscribe_event(name, f"flatstore:{path}")
        report = await events.raise_event_and_wait(name, params)
    assert report[0].reason is None
    return path.read_bytes()


@pytest.mark.parametrize(
    ("params", "line", "suppressed"),
    [
        (None, b"E_TEST\n", b"\n"),
        ({"s": "hello"}, b"E_TEST,hello\n", b"hello\n"),
        ({"i": 42}, b"E_TEST,42\n", b"42\n"),
        ({"i": -7}, b"E_TEST,-7\n", b"-7\n"),
        ({"e": ""}, b"E_TEST,\n", b"\n"),
        ({"n": None}, b"E_TEST,\n", b"\n"),
        ({"n": evframe.UNSET}, b"E_TEST,\n", b"\n"),
        (["", "x", ""], b"E_TEST,,x,\n", b",x,\n"),
        (["é€😀"], "E_TEST,é€😀\n".encode(), "é€😀\n".encode()),
        (["a,b,,c"], b"E_TEST,a b  c\n", b"a b  c\n"),
        ({"q": 'a"b\\c\x01'}, b'E_TEST,a"b\\c\x01\n', b'a"b\\c\x01\n'),
        ([b"\xff\xfe"], b"E_TEST,\xff\xfe\n", b"\xff\xfe\n"),
        ([1.5, True, [1, "a"], {"k": 2}], b'E_TEST,1.5,true,[1 "a"],{"k":2}\n', b'1.5,true,[1 "a"],{"k":2}\n'),
        (evframe.Pairs([("k", "1"), (None, 2), ("k", "3")]), b"E_TEST,1,2,3\n", b"1,2,3\n"),
        (["line\nbreak\rand\0nul"], b"E_TEST,line break and nul\n", b"line break and nul\n"),
    ],
)
@pytest.mark.parametrize("suppress", [False, True])
async def test_line_f1_f3(tmp_path, params, line, suppressed, suppress):
    """Each row of the line table; F1: no value forges a line; F3: empty leading columns stay."""
    assert await write(tmp_path / "f", params, suppress_event_name=suppress) == (suppressed if suppress else line)


@pytest.mark.parametrize(
    ("delimiter", "escape", "value", "line"),
    [
        ("::", None, "c::d", b"E_TEST::c  d\n"),
        ("::", None, "c::d:e", b"E_TEST::c  d e\n"),
        ("::", "##", "c::d", b"E_TEST::c##d\n"),
        (",", ";", "a,b,,c", b"E_TEST,a;b;;c\n"),
        ("", None, "hello", b"E_TESThello\n"),
        ("\t", None, "a\tb,c", b"E_TEST\ta b,c\n"),
        ("|", "/", "a|b", b"E_TEST|a/b\n"),
    ],
)
async def test_delimiters_f1(tmp_path, delimiter, escape, value, line):
    """F1: the escape takes effect, with delimiters of any length."""
    assert await write(tmp_path / "f", [value], delimiter=delimiter, escape_delimiter=escape) == line


async def test_other_subscribers_see_the_value_f2(tmp_path):
    """F2: what the file needs replaced is not replaced for other subscribers."""
    memory = MemoryTransport()
    events = evframe.EventInterface(plugins={"flatstore": FlatstoreTransport(), "memory": memory})
    events.register_event("E_TEST")
    events.subscribe_event("E_TEST", "memory:a")
    events.subscribe_event("E_TEST", f"flatstore:{tmp_path}/f")
    async with events:
        await events.raise_event_and_wait("E_TEST", {"s": "a,b"})

    assert (tmp_path / "f").read_bytes() == b"E_TEST,a b\n"
    assert memory.delivered["a"][0]["s"] == "a,b"


async def test_many_parameters_f12(tmp_path):
    """F12: an event may have more than 511 parameters."""
    assert (await write(tmp_path / "f", list(range(600)))).count(b",") == 600


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("{}/f", "flatstore:{}/f"),
        ("{}//f", "flatstore:{}//f"),
        ("{}/f ", "flatstore:{}/f "),
        ("/dev/null", "flatstore:/dev/null"),
        ("relf", "flatstore:relf"),
    ],
)
def test_accepted(tmp_path, text, canonical):
    """Each accepted row prints as it was given, and creates no file yet."""
    events = interface()
    events.register_event("E_TEST")
    lease = events.subscribe_event("E_TEST", f"flatstore:{text.format(tmp_path)}")

    assert lease.subscriber.socket.canonical == canonical.format(tmp_path)
    assert list(tmp_path.iterdir()) == []


async def test_limit_of_files_f8_f11_q24(tmp_path):
    """F8, F11, Q-24: one file more than allowed is refused; looking one up takes no place, leaving frees it at once."""
    async with interface(max_open_sockets=2) as events:
        events.register_event("E_TEST")
        for name in "ab":
            events.subscribe_event("E_TEST", f"flatstore:{tmp_path}/{name}")
            await events.raise_event_and_wait("E_TEST")
        with pytest.raises(evframe.SocketError, match="max_open_sockets"):
            events.subscribe_event("E_TEST", f"flatstore:{tmp_path}/c")
        before = len(os.listdir("/proc/self/fd"))
        events.unsubscribe_event("E_TEST", f"flatstore:{tmp_path}/a")
        assert len(os.listdir("/proc/self/fd")) == before - 1
        assert events.subscription("E_TEST", f"flatstore:{tmp_path}/c") is None
        events.subscribe_event("E_TEST", f"flatstore:{tmp_path}/c")


async def rotated(tmp_path, count, clock=None, before=None, **options):
    """Write *count* lines `E,<n>`; return the file contents by name, and the rotation events."""
    async with interface(clock, **options) as events:
        events.register_event("E")
        events.subscribe_event("E", f"flatstore:{tmp_path}/f")
        async with events.listen(ROTATION) as rotations:
            for number in range(count):
                await events.raise_event_and_wait("E", [number])
                if before:
                    before(number)
            for _ in range(100):
                await asyncio.sleep(0)
            raised = events.event(ROTATION).raised
            got = [json.loads(event.payload)["params"] for event in [await anext(rotations) for _ in range(raised)]]
    return {path.name: path.read_bytes() for path in sorted(tmp_path.iterdir())}, got


async def test_rotation_by_count(tmp_path):
    """Each file has exactly so many lines; the event names the files, all as text, and the new one exists."""
    clock = Clock()
    files, events = await rotated(tmp_path, 7, clock, lambda number: clock.advance(1), rotate_count=3, suffix=".%s")

    assert files == {
        "f.1795397618": b"E,0\nE,1\nE,2\n",
        "f.1795397620": b"E,3\nE,4\nE,5\n",
        "f.1795397623": b"E,6\n",
    }
    assert list(events[0]) == ["timestamp", "reason", "filename", "old_filename"]
    assert events[0] == {
        "timestamp": "1795397620",
        "reason": "count",
        "filename": f"{tmp_path}/f.1795397620",
        "old_filename": f"{tmp_path}/f.1795397618",
    }
    assert len(events) == 2


async def test_count_is_exact_in_a_burst(tmp_path):
    """Lines raised at once are split between the files at the exact line."""
    clock = Clock()
    numbers = iter(range(1000))
    transport = FlatstoreTransport(Options(rotate_count=10, suffix=".%s"), clock=lambda: clock.now + next(numbers))
    events = evframe.EventInterface(plugins={"flatstore": transport})
    events.register_event("E")
    events.subscribe_event("E", f"flatstore:{tmp_path}/f")
    async with events:
        for number in range(95):
            events.raise_event("E", [number])
    files = sorted(tmp_path.iterdir())

    assert [path.read_bytes().count(b"\n") for path in files] == [10] * 9 + [5]
    assert b"".join(path.read_bytes() for path in files) == b"".join(b"E,%d\n" % number for number in range(95))


async def test_rotation_by_size_f6(tmp_path):
    """F6: the size counts what was in the file before; the line that reaches it is the last."""
    (tmp_path / "f.1795397618").write_bytes(b"x" * 92)
    clock = Clock()
    files, events = await rotated(tmp_path, 4, clock, lambda number: clock.advance(1), rotate_size=100, suffix=".%s")

    assert files == {"f.1795397618": b"x" * 92 + b"E,0\nE,1\n", "f.1795397619": b"E,2\nE,3\n"}
    assert [event["reason"] for event in events] == ["size"]


async def test_rotation_by_command(tmp_path):
    """The management command rotates a file; an unknown path is its error."""
    async with interface() as events:
        events.register_event("E")
        events.subscribe_event("E", f"flatstore:{tmp_path}/f")
        await events.raise_event_and_wait("E", [1])
        (tmp_path / "f").rename(tmp_path / "f.1")

        def ask(method, params):
            request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
            return json.loads(management(events).handle(json.dumps(request).encode()))

        async with events.listen(ROTATION) as rotations:
            assert ask("evi_flat_rotate", [f"{tmp_path}/f"])["result"] == "OK"
            async with asyncio.timeout(20):
                event = await anext(rotations)
            assert (tmp_path / "f").exists()
        assert event["reason"] == "mi"
        for method in ("evi_flat_rotate", "event_flatstore:rotate", "rotate"):
            assert ask(method, ["/none"])["error"] == {"code": 400, "message": "File not found"}
        assert ask("rotate", [])["error"]["data"] == "Too few or too many parameters"


async def test_rotation_by_period_f9(tmp_path):
    """F9: a file rotates once for each time the clock passes a multiple of the period, however late it is seen."""
    clock = Clock(1_000_000_050.0)
    async with interface(clock, rotate_period_s=60, suffix=".%s") as events:
        events.register_event("E")
        events.subscribe_event("E", f"flatstore:{tmp_path}/f")
        await events.raise_event_and_wait("E", [0])
        async with events.listen(ROTATION) as rotations, asyncio.timeout(20):
            for late in (31, 60 + 5, 200):
                while not clock.sleepers:
                    await asyncio.sleep(0)
                clock.advance(late)
                clock.sleepers.clear()
                event = await anext(rotations)
                assert event["reason"] == "period"
                assert event["filename"] == f"{tmp_path}/f.{int(clock.now)}"
        assert events.event(ROTATION).raised == 3


@pytest.mark.parametrize("count", [1, 3])
async def test_rotation_event_in_the_same_file_f4_f5(tmp_path, count):
    """F4, F5: a file that gets its own rotation events neither hangs nor rotates for ever."""
    clock = Clock()
    async with interface(clock, rotate_count=count) as events:
        events.register_event("E")
        for name in ("E", ROTATION):
            events.subscribe_event(name, f"flatstore:{tmp_path}/f")
        for number in range(6):
            await events.raise_event_and_wait("E", [number], timeout_s=20)
            clock.advance(1)
    text = (tmp_path / "f").read_bytes()

    assert [line for line in text.splitlines() if line.startswith(b"E,")] == [b"E,%d" % number for number in range(6)]
    assert text.count(ROTATION.encode()) == 6 // count


async def test_several_events_on_one_file_f10(tmp_path):
    """F10: the events of a file rotate together."""
    async with interface(rotate_count=2) as events:
        for name in ("E_A", "E_B"):
            events.register_event(name)
            events.subscribe_event(name, f"flatstore:{tmp_path}/f")
        async with events.listen(ROTATION) as rotations:
            for name in ("E_A", "E_B"):
                await events.raise_event_and_wait(name)
            async with asyncio.timeout(20):
                assert (await anext(rotations))["reason"] == "count"

    assert (tmp_path / "f").read_bytes() == b"E_A\nE_B\n"


async def test_others_stay_when_one_leaves_f7(tmp_path):
    """F7: the end of a subscriber in the middle leaves its neighbours alone."""
    async with interface() as events:
        events.register_event("E")
        for name in "abc":
            events.subscribe_event("E", f"flatstore:{tmp_path}/{name}")
        await events.raise_event_and_wait("E", [1])
        events.unsubscribe_event("E", f"flatstore:{tmp_path}/b")
        await events.raise_event_and_wait("E", [2])

    assert {path.name: path.read_bytes().count(b"\n") for path in tmp_path.iterdir()} == {"a": 2, "b": 1, "c": 2}


@pytest.mark.parametrize("how", ["rename", "unlink"])
async def test_file_is_taken_away(tmp_path, how):
    """After a rename or an unlink the next line is in a new file of the name."""
    path = tmp_path / "f"
    async with interface() as events:
        events.register_event("E")
        events.subscribe_event("E", f"flatstore:{path}")
        await events.raise_event_and_wait("E", [1])
        path.rename(tmp_path / "old") if how == "rename" else path.unlink()
        await events.raise_event_and_wait("E", [2])

    assert path.read_bytes() == b"E,2\n"


async def test_directory_comes_back_f13(tmp_path):
    """F13: while the directory is missing events wait; they are written once it is back."""
    folder = tmp_path / "d"
    folder.mkdir()
    async with interface() as events:
        events.register_event("E")
        lease = events.subscribe_event("E", f"flatstore:{folder}/f")
        folder.rmdir()
        waiting = asyncio.create_task(events.raise_event_and_wait("E", [1], timeout_s=20))
        async with asyncio.timeout(20):
            while not lease.subscriber.attempts:
                await asyncio.sleep(0.001)
        folder.mkdir()
        assert (await waiting)[0].delivered

    assert (folder / "f").read_bytes() == b"E,1\n"


async def test_full_disk_loses_nothing_f13(tmp_path):
    """F13: on a full disk the events wait, and are not counted as delivered."""
    config = evframe.Config(core=evframe.config.CoreOptions(drain_timeout_s=0.1))
    events = evframe.EventInterface(config, plugins={"flatstore": FlatstoreTransport()})
    events.register_event("E")
    lease = events.subscribe_event("E", "flatstore:/dev/full")
    async with events, asyncio.timeout(20):
        events.raise_event("E", [1])
        while not lease.subscriber.attempts:
            await asyncio.sleep(0.001)
        assert (lease.subscriber.delivered, lease.subscriber.depth) == (0, 1)

    assert events.statistics[0].reasons == {"shutdown": 1}


@contextmanager
def slow_disk(events, path):
    """Have the file's disk take nothing for as long as this lasts."""
    flatstore = events.plugin("flatstore")
    file = flatstore._file(flatstore._sockets[str(path)])
    file._mutex.acquire()
    try:
        yield
    finally:
        file._mutex.release()


@pytest.mark.parametrize("way", ["leave", "unsubscribe"])
async def test_a_batch_under_way_becomes_what_it_becomes(tmp_path, way):
    """What a thread writes when the interface is left, or the lease ends, is counted as it ends: as delivered."""
    path = tmp_path / "log"
    transport = FlatstoreTransport()
    config = Config(core=CoreOptions(drain_timeout_s=0.01))
    events = evframe.EventInterface(config, plugins={"flatstore": transport})
    events.register_event("E_T")
    events.subscribe_event("E_T", f"flatstore:{path}")
    await events.__aenter__()
    [subscriber] = events.event("E_T").targets
    futures = events._roster.scheduler._under_way
    with slow_disk(events, path):
        events.raise_event("E_T", [1])
        await until(lambda: subscriber in futures)
        [future] = futures[subscriber].values()
        leaving = asyncio.ensure_future(events.__aexit__(None, None, None)) if way == "leave" else None
        if leaving is None:
            events.unsubscribe_event("E_T", f"flatstore:{path}")
        await until(future.cancelling)
    await until(future.done)
    if leaving is None:
        await events.__aexit__(None, None, None)
    else:
        await leaving
    assert path.read_text() == "E_T,1\n"
    assert (subscriber.delivered, subscriber.failed, subscriber.depth) == (1, 0, 0)


async def test_a_disk_that_hangs_does_not_hold_the_end(tmp_path):
    """Leaving has its bound when a disk takes nothing, and the events are counted as `shutdown`."""
    path = tmp_path / "log"
    events = evframe.EventInterface(
        Config(core=CoreOptions(drain_timeout_s=0.01)), plugins={"flatstore": FlatstoreTransport()}
    )
    events.register_event("E_T")
    events.subscribe_event("E_T", f"flatstore:{path}")
    async with events:
        [subscriber] = events.event("E_T").targets
        with slow_disk(events, path):
            events.raise_event("E_T", [1])
            await until(lambda: subscriber in events._roster.scheduler._under_way)
            await events.__aexit__(None, None, None)
            assert (subscriber.delivered, subscriber.reasons, subscriber.depth) == (0, {"shutdown": 1}, 0)


NEVER_CLOSED = """
import sys, evframe
from evframe_flatstore import FlatstoreTransport

events = evframe.start_in_thread(plugins={"flatstore": FlatstoreTransport()})
events.register_event("E_T")
events.subscribe_event("E_T", f"flatstore:{sys.argv[1]}")
for number in range(50_000):
    events.raise_event("E_T", [number])
"""


def test_lines_of_a_process_that_never_closes(tmp_path):
    """A process that ends without closing its interface has all lines in the file."""
    path = tmp_path / "log"
    done = subprocess.run(
        [sys.executable, "-c", NEVER_CLOSED, str(path)], capture_output=True, text=True, timeout=50, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert path.read_text() == "".join(f"E_T,{number}\n" for number in range(50_000))


async def test_columns_without_a_delimiter(tmp_path):
    """An empty delimiter puts the columns side by side."""
    assert await write(tmp_path / "f", ["hello", 42], delimiter="") == b"E_TESThello42\n"


async def test_flushed_f13(tmp_path, monkeypatch):
    """F13: with `fsync` an event is delivered when the disk has its line, without it the disk is not asked."""
    flushed = []
    flush = os.fsync
    monkeypatch.setattr(os, "fsync", lambda fd: (flush(fd), flushed.append((tmp_path / "f").read_bytes())))
    for fsync in (False, True):
        await write(tmp_path / "f", [fsync], fsync=fsync)

    assert flushed == [b"E_TEST,false\nE_TEST,true\n"]


async def test_make_directories_and_mode_f13(tmp_path):
    """F13: missing directories are made when asked for; new files have the mode."""
    old = os.umask(0)
    try:
        path = tmp_path / "a" / "b" / "f"
        assert await write(path, ["x"], make_directories=True, file_permissions="600", fsync=True) == b"E_TEST,x\n"
        assert path.stat().st_mode & 0o777 == 0o600
    finally:
        os.umask(old)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("max_open_sockets", 0),
        ("max_open_sockets", 70000),
        ("delimiter", "\n"),
        ("escape_delimiter", "##"),
        ("escape_delimiter", ","),
        ("file_permissions", ""),
        ("file_permissions", "9"),
        ("rotate_period_s", -1),
        ("rotate_count", -1),
        ("rotate_size", -1),
        ("rotate_size", "2 g"),
        ("rotate_size", "m"),
    ],
)
def test_bad_options(option, value):
    """A value that does not fit is an error that names its option."""
    with pytest.raises(ValueError, match=f"{option}: expected"):
        Options(**{option: value})


@pytest.mark.parametrize(
    ("value", "size"), [(0, 0), (4096, 4096), ("4096", 4096), ("2k", 2048), ("1M", 1 << 20), ("3g", 3 << 30)]
)
def test_sizes(value, size):
    """A size is a number of bytes, or text with a unit."""
    assert Options(rotate_size=value).max_bytes == size


async def test_an_ended_file_leaves_nothing(tmp_path):
    """A file whose subscriber has ended leaves memory without the cyclic collector, written or not."""
    folder = tmp_path / "folder"
    folder.mkdir()

    async def come_and_leave():
        events.subscribe_event("E_F", f"flatstore:{folder}/f")
        await events.raise_event_and_wait("E_F", [1])
        folder.rename(tmp_path / "gone")
        await events.raise_event_and_wait("E_F", [2], timeout_s=0.05)
        (tmp_path / "gone").rename(folder)
        events.unsubscribe_event("E_F", f"flatstore:{folder}/f")
        await until(lambda: len(events.statistics) == 1)
        await asyncio.sleep(0)

    async with interface() as events:
        events.register_event("E_F")
        await come_and_leave()
        with no_garbage():
            await come_and_leave()
