"""The first line of files, and the files before the current one: kept, deleted, compressed."""

import gzip
import os
import threading
from datetime import UTC, datetime, timedelta

import pytest
from evframe_flatstore import FlatstoreTransport, Options
from evframe_flatstore.compression import Compressor
from evframe_flatstore.file import LineFile
from evframe_flatstore.names import Template
from evframe_flatstore.old_files import OldFiles

import evframe
from evframe.testing import FakeClock, until

NOON = datetime(2026, 6, 10, 12, tzinfo=UTC).timestamp()
DAY_S = 86400.0


def interface(clock, **options):
    transport = FlatstoreTransport(Options(timezone="UTC", **options), clock=clock)
    return evframe.EventInterface(plugins={"flatstore": transport})


def contents(folder):
    """Return the texts of the files by name, unpacked."""
    return {
        path.name: gzip.decompress(path.read_bytes()).decode() if path.suffix == ".gz" else path.read_text()
        for path in folder.iterdir()
    }


def made(path, text, clock, days=0):
    """Make a file that was last written so many days ago."""
    path.write_text(text)
    written = clock.now - days * DAY_S
    os.utime(path, (written, written))
    return path


def old_files(clock, **options):
    return OldFiles(Options(timezone="UTC", **options), UTC, clock)


def line_file(path, clock, on_new=lambda _: True, **options):
    return LineFile(str(path), Options(timezone="UTC", **options), UTC, clock, on_new)


@pytest.mark.parametrize(
    ("options", "first"),
    [
        ({"header": True}, "event,caller,n\n"),
        ({"header": True, "delimiter": "|"}, "event|caller|n\n"),
        ({"header": True, "suppress_event_name": True}, "caller,n\n"),
        ({"header": "# calls"}, "# calls\n"),
        ({}, ""),
    ],
)
async def test_each_new_file_has_one_header(tmp_path, options, first):
    """The header is the first line of each file that was empty, in a burst that rotates too, and no line counts it."""
    names = iter(range(100))
    clock = FakeClock(NOON)
    transport = FlatstoreTransport(
        Options(rotate_count=2, suffix=".%s", **options), clock=lambda: clock.now + next(names)
    )
    async with evframe.EventInterface(plugins={"flatstore": transport}) as events:
        events.register_event("E_CALL", {"caller": str, "n": int})
        events.subscribe_event("E_CALL", f"flatstore:{tmp_path}/f")
        for number in range(4):
            events.raise_event("E_CALL", ["a", number])
        await events.raise_event_and_wait("E_CALL", ["a", 4])
    name = "" if "suppress_event_name" in options else "E_CALL"
    lines = [options.get("delimiter", ",").join(filter(None, (name, "a", str(n)))) + "\n" for n in range(5)]
    assert [text for _, text in sorted(contents(tmp_path).items())] == [
        first + lines[0] + lines[1],
        first + lines[2] + lines[3],
        first + lines[4],
    ]


async def test_a_file_that_goes_on_has_no_second_header(tmp_path):
    """A file that had lines when it was opened gets no header; one that was emptied gets it again."""
    path = tmp_path / "f"
    path.write_text("old\n")
    async with interface(FakeClock(NOON), header="# h") as events:
        events.register_event("E")
        events.subscribe_event("E", f"flatstore:{path}")
        await events.raise_event_and_wait("E", [1])
        assert path.read_text() == "old\nE,1\n"
        os.truncate(path, 0)
        await events.raise_event_and_wait("E", [2])
    assert path.read_text() == "# h\nE,2\n"


async def test_undeclared_events_have_no_columns(tmp_path):
    """A file that begins with an event without a declaration has no header of columns."""
    async with interface(FakeClock(NOON), header=True) as events:
        events.register_event("E")
        events.subscribe_event("E", f"flatstore:{tmp_path}/f")
        await events.raise_event_and_wait("E", [1])
    assert contents(tmp_path) == {"f": "E,1\n"}


def test_the_header_counts_for_the_size(tmp_path):
    """The bytes of the header count for `rotate_size`."""
    clock = FakeClock(NOON)
    file = line_file(tmp_path / "f", clock, rotate_size=10, suffix=".%s")
    for _ in range(3):
        file.write(b"12\n", None, lambda _: b"1234\n")
        clock.advance(1)
    file.end()
    assert [text for _, text in sorted(contents(tmp_path).items())] == ["1234\n12\n12\n", "1234\n12\n"]


async def test_old_files_are_compressed_and_the_oldest_deleted(tmp_path):
    """After each rotation the files before the current one are compressed, and the newest `keep_files` remain."""
    clock = FakeClock(NOON)
    options = {"rotate_period_s": 86400, "suffix": ".%F", "keep_files": 2, "compress": True}
    async with interface(clock, **options) as events:
        events.register_event("E")
        events.subscribe_event("E", f"flatstore:{tmp_path}/f")
        for number in range(5):
            await events.raise_event_and_wait("E", [number])
            clock.advance(DAY_S)
        names = {"f.2026-06-12.gz", "f.2026-06-13.gz", "f.2026-06-14"}
        await until(lambda: set(os.listdir(tmp_path)) == names)
    assert contents(tmp_path) == {
        "f.2026-06-12.gz": "E,2\n",
        "f.2026-06-13.gz": "E,3\n",
        "f.2026-06-14": "E,4\n",
    }


async def test_files_that_were_closed_for_others_lose_their_old_ones(tmp_path):
    """With more values than `max_open_files` each one keeps as many old files as `keep_files` has it."""
    clock = FakeClock(NOON)
    names = [f"c{number}" for number in range(12)]
    for name in names:
        for days in (1, 2, 3):
            made(tmp_path / f"{name}.2026-06-{10 - days:02}", "x\n", clock, days)
    transport = FlatstoreTransport(Options(suffix=".%F", keep_files=1, max_open_files=2, timezone="UTC"), clock=clock)
    async with evframe.EventInterface(plugins={"flatstore": transport}) as events:
        events.register_event("E")
        events.subscribe_event("E", f"flatstore:{tmp_path}/{{c}}")
        with transport._old_files._mutex:  # the thread comes to the first file when the last one is open
            for name in names:
                events.raise_event("E", {"c": name})
            await until(lambda: not events.statistics[0].depth)
        left = {f"{name}.2026-06-{day}" for name in names for day in ("09", "10")}
        await until(lambda: set(os.listdir(tmp_path)) == left)


async def test_a_file_that_is_opened_again_is_looked_at_once(tmp_path, monkeypatch):
    """Values that close each other's files bring one look per file and name about; the day's change is another one."""
    clock = FakeClock(NOON)
    looks = []
    monkeypatch.setattr(OldFiles, "_tidy", lambda _, file: looks.append(file.name))
    transport = FlatstoreTransport(Options(suffix=".%F", keep_files=1, max_open_files=1, timezone="UTC"), clock=clock)
    async with evframe.EventInterface(plugins={"flatstore": transport}) as events:
        events.register_event("E")
        events.subscribe_event("E", f"flatstore:{tmp_path}/{{c}}")
        for day in (1, 2):
            for number in range(6):
                await events.raise_event_and_wait("E", {"c": "ab"[number % 2]})
            await until(lambda day=day: len(looks) >= 2 * day)  # another thread looks at what a file is called then
            clock.advance(DAY_S)
    assert sorted(looks) == [f"{tmp_path}/{value}.2026-06-{day}" for value in "ab" for day in (10, 11)]
    assert contents(tmp_path)["a.2026-06-11"] == "E,a\n" * 3


def test_a_look_that_finds_no_room_is_asked_for_again(tmp_path, monkeypatch):
    """A bounded number of looks waits; a file that found no room is looked at after it is opened the next time."""
    monkeypatch.setattr("evframe_flatstore.old_files._MOST_WAITING", 1)
    clock = FakeClock(NOON)
    options = {"suffix": ".%F", "keep_files": 1}
    kept = old_files(clock, **options)
    looks = []
    monkeypatch.setattr(kept, "_tidy", lambda file: looks.append(file.path))
    free = kept._free
    files = [line_file(tmp_path / name, clock, kept.submit, **options) for name in "ab"]
    with free:
        files[1].write(b"1\n")
    for file in reversed(files):
        file.suspend()
        file.write(b"2\n")
        assert free.acquire(timeout=20)
        free.release()
    kept._thread.shutdown()
    for file in files:
        file.end()
    assert looks == [str(tmp_path / "b"), str(tmp_path / "a")]


def test_only_files_of_the_suffix_are_deleted(tmp_path):
    """Retention deletes nothing that the suffix of this path has not made: other names, paths, folders and links."""
    clock = FakeClock(NOON)
    for name in ("f.2020-01-01", "f.2020-01-02.gz"):
        made(tmp_path / name, "ours", clock, 100)
    others = ["f", "f.2020-1-1", "f.2020-13-01", "f.2020-02-30", "f.2020-01-01.bak", "g.2020-01-01", "f.x.2020-01-01"]
    others += ["f.2020-01-01.gz.gz", "f.2020-01-01x", "xf.2020-01-01", "f.２０２０-01-01"]
    for name in others:
        made(tmp_path / name, "theirs", clock, 100)
    (tmp_path / "f.2020-01-03").mkdir()
    (tmp_path / "f.2020-01-04").symlink_to(tmp_path / "f")
    options = {"suffix": ".%Y-%m-%d", "keep_files": 1, "keep_days": 1}
    file = line_file(tmp_path / "f", clock, **options)
    file.write(b"x\n")
    old_files(clock, **options)._tidy(file)
    file.end()

    assert sorted(os.listdir(tmp_path)) == sorted([*others, "f.2020-01-03", "f.2020-01-04", "f.2026-06-10"])


@pytest.mark.parametrize(("named", "written", "stays"), [(3, 3, True), (4, 4, False), (9, 1, True), (1, 9, True)])
def test_days_count_from_the_last_line(tmp_path, named, written, stays):
    """`keep_days` counts from the end of the name's time, or from the last line when that is later."""
    clock = FakeClock(NOON)
    name = f"f.{datetime.fromtimestamp(NOON, UTC) - timedelta(days=named):%Y-%m-%d}"
    made(tmp_path / name, "x\n", clock, written)
    options = {"suffix": ".%Y-%m-%d", "keep_days": 3}
    file = line_file(tmp_path / "f", clock, **options)
    file.write(b"x\n")
    old_files(clock, **options)._tidy(file)
    file.end()
    assert (name in os.listdir(tmp_path)) is stays


@pytest.mark.parametrize("step", ["fsync", "rename", "unlink"])
@pytest.mark.parametrize("earlier", [None, "A\n"])
def test_a_crash_while_compressing_loses_and_repeats_nothing(tmp_path, monkeypatch, step, earlier):
    """Wherever compressing breaks off, the next look has each line once, behind those of an earlier compressed file."""
    clock = FakeClock(NOON)
    old = made(tmp_path / "f.2026-06-09", "B\n", clock, 1)
    if earlier is not None:
        (tmp_path / "f.2026-06-09.gz").write_bytes(gzip.compress(earlier.encode()))
    options = {"suffix": ".%F", "compress": True}
    file = line_file(tmp_path / "f", clock, **options)
    file.write(b"x\n")

    class CrashError(BaseException):
        """Stands for the end of the process."""

    def crash(*_args, **_kwargs):
        raise CrashError

    with monkeypatch.context() as broken:
        broken.setattr(os, step, crash)
        with pytest.raises(CrashError):
            old_files(clock, **options)._tidy(file)
    assert old.read_text() == "B\n"
    old_files(clock, **options)._tidy(file)
    file.end()
    assert contents(tmp_path) == {"f.2026-06-09.gz": (earlier or "") + "B\n", "f.2026-06-10": "x\n"}


def test_a_half_written_compressed_file_is_made_anew(tmp_path):
    """What a process that was killed left of a compressed file goes; the plain file is compressed from its beginning."""
    clock = FakeClock(NOON)
    made(tmp_path / "f.2026-06-09", "B\n", clock, 1)
    (tmp_path / "f.2026-06-09.gz.part").write_bytes(gzip.compress(b"B\n")[:9])
    options = {"suffix": ".%F", "compress": True}
    file = line_file(tmp_path / "f", clock, **options)
    file.write(b"x\n")
    old_files(clock, **options)._tidy(file)
    file.end()
    assert contents(tmp_path) == {"f.2026-06-09.gz": "B\n", "f.2026-06-10": "x\n"}


@pytest.mark.parametrize("work", ["compress", "keep_files"])
def test_the_current_file_stays(tmp_path, work):
    """A file that is opened again, as when the clock is set back, is neither compressed nor deleted meanwhile."""
    clock = FakeClock(NOON)
    options = {"suffix": ".%F", work: 1 if work == "keep_files" else True}
    made(tmp_path / "f.2026-06-11", "later\n", clock)
    made(tmp_path / "f.2026-06-12", "later\n", clock)
    file = line_file(tmp_path / "f", clock, **options)
    file.write(b"1\n")
    old_files(clock, **options)._tidy(file)
    assert (tmp_path / "f.2026-06-10").read_text() == "1\n"
    file.write(b"2\n")
    file.end()
    assert (tmp_path / "f.2026-06-10").read_text() == "1\n2\n"


def test_a_file_that_grows_meanwhile_is_not_replaced(tmp_path, monkeypatch):
    """Lines that another process appends while the file is compressed stay, each once, for the next look."""
    clock = FakeClock(NOON)
    old = made(tmp_path / "f.2026-06-09", "B\n", clock, 1)
    options = {"suffix": ".%F", "compress": True}
    file = line_file(tmp_path / "f", clock, **options)
    file.write(b"x\n")
    flush = os.fsync

    def append(fd):
        flush(fd)
        with old.open("a") as other:
            other.write("C\n")

    with monkeypatch.context() as busy:
        busy.setattr(os, "fsync", append)
        old_files(clock, **options)._tidy(file)
    assert contents(tmp_path) == {"f.2026-06-09": "B\nC\n", "f.2026-06-10": "x\n"}
    old_files(clock, **options)._tidy(file)
    file.end()
    assert contents(tmp_path) == {"f.2026-06-09.gz": "B\nC\n", "f.2026-06-10": "x\n"}


def test_lines_that_come_as_a_file_is_replaced_stay(tmp_path, monkeypatch):
    """Lines that another process appends between the look at the size and the deletion are kept, each once."""
    clock = FakeClock(NOON)
    old = made(tmp_path / "f.2026-06-09", "B\n", clock, 1)
    options = {"suffix": ".%F", "compress": True}
    file = line_file(tmp_path / "f", clock, **options)
    file.write(b"x\n")
    flush, other = os.fsync, old.open("a", buffering=1)

    def append(fd):
        flush(fd)
        if (tmp_path / "f.2026-06-09.gz").exists():
            other.write("C\n")

    with monkeypatch.context() as busy, other:
        busy.setattr(os, "fsync", append)
        old_files(clock, **options)._tidy(file)
    assert contents(tmp_path) == {"f.2026-06-09": "C\nC\n", "f.2026-06-09.gz": "B\n", "f.2026-06-10": "x\n"}
    old_files(clock, **options)._tidy(file)
    file.end()
    assert contents(tmp_path) == {"f.2026-06-09.gz": "B\nC\nC\n", "f.2026-06-10": "x\n"}


def test_two_that_compress_one_file_leave_each_other_alone(tmp_path, monkeypatch, caplog):
    """While a file is being compressed, another transport or process leaves it and its unfinished form as they are."""
    clock = FakeClock(NOON)
    made(tmp_path / "f.2026-06-09", "B\n", clock, 1)
    options = {"suffix": ".%F", "compress": True}
    files = [line_file(tmp_path / "f", clock, **options) for _ in range(2)]
    for file in files:
        file.write(b"x\n")
    first, second = old_files(clock, **options), old_files(clock, **options)
    copy = Compressor._copy

    def meanwhile(compressor, source, target):
        copy(compressor, source, target)
        if compressor is first._compressor:
            second._tidy(files[1])
            assert sorted(os.listdir(tmp_path)) == ["f.2026-06-09", "f.2026-06-09.gz.part", "f.2026-06-10"]

    monkeypatch.setattr(Compressor, "_copy", meanwhile)
    first._tidy(files[0])
    for file in files:
        file.end()
    assert contents(tmp_path) == {"f.2026-06-09.gz": "B\n", "f.2026-06-10": "x\nx\n"}
    assert not caplog.records


def test_lines_are_written_while_a_file_is_compressed(tmp_path, monkeypatch):
    """A line does not wait for the compression of an old file."""
    clock = FakeClock(NOON)
    made(tmp_path / "f.2026-06-09", "B\n", clock, 1)
    options = {"suffix": ".%F", "compress": True}
    kept = old_files(clock, **options)
    begun, free = threading.Event(), threading.Event()
    flush = os.fsync
    monkeypatch.setattr(os, "fsync", lambda fd: (begun.set(), free.wait(20), flush(fd)))
    file = line_file(tmp_path / "f", clock, kept.submit, **options)
    file.write(b"1\n")
    assert begun.wait(20)
    file.write(b"2\n")
    assert (tmp_path / "f.2026-06-10").read_text() == "1\n2\n"
    free.set()
    kept._thread.shutdown()
    file.end()
    assert contents(tmp_path) == {"f.2026-06-09.gz": "B\n", "f.2026-06-10": "1\n2\n"}


def test_what_cannot_be_compressed_is_one_log_line(tmp_path, caplog):
    """An error of the disk is one line with the path and the reason; later lines are written."""
    clock = FakeClock(NOON)
    made(tmp_path / "f.2026-06-09", "B\n", clock, 1)
    (tmp_path / "f.2026-06-09.gz.part").mkdir()
    options = {"suffix": ".%F", "compress": True}
    kept = old_files(clock, **options)
    file = line_file(tmp_path / "f", clock, **options)
    for _ in range(3):
        file.write(b"x\n")
        kept._tidy(file)
    file.end()
    assert [(record.message, record.path) for record in caplog.records] == [
        ("old files cannot be compressed or deleted", str(tmp_path / "f"))
    ]


@pytest.mark.parametrize(
    ("suffix", "text", "until"),
    [
        (".%Y-%m-%d", ".2026-06-09", datetime(2026, 6, 10)),
        (".%F_%H", ".2026-06-09_23", datetime(2026, 6, 10)),
        (".%F-%R", ".2026-06-09-23:15", datetime(2026, 6, 9, 23, 16)),
        (".%FT%T", ".2026-06-09T23:15:01", datetime(2026, 6, 9, 23, 15, 2)),
        (".%Y%j", ".2026365", datetime(2027, 1, 1)),
        (".%Y%j", ".2026366", None),
        (".%Y-%m", ".2026-01", datetime(2026, 2, 1)),
        (".%%%Y", ".%2026", datetime(2027, 1, 2)),
        (".%s", ".1781049600", datetime(2026, 6, 10, 2, 0, 1)),
        (".%s", ".01781049600", None),
    ],
)
def test_names_are_read_back(suffix, text, until):
    """A name of each kind of suffix has its time; wall time is two hours ahead here."""
    assert Template(suffix).lasts_until(text, 7200) == until


@pytest.mark.parametrize("option", [{"keep_files": 1}, {"keep_days": 1}, {"compress": True}])
@pytest.mark.parametrize("suffix", [None, ".%d", ".%H%M", ".%b-%Y", "/%F", ".%Y-%j-%d", ".%F.%Y", ".x"])
def test_suffixes_that_cannot_be_read_back(option, suffix):
    """What deletes or compresses files needs a suffix with a whole date; the error names the option."""
    with pytest.raises(ValueError, match=f"{next(iter(option))}: expected a suffix"):
        Options(suffix=suffix, **option)


@pytest.mark.parametrize("suffix", [".%F.gz", ".%F.gz.part"])
def test_a_suffix_with_the_end_of_compressed_files_is_refused(suffix):
    """A plain file would pass for a compressed one; without compression and retention the suffix is free."""
    for option in ({"keep_files": 1}, {"keep_days": 1}, {"compress": True}):
        with pytest.raises(ValueError, match="expected a suffix without '.gz' at its end, which compressed files have"):
            Options(suffix=suffix, **option)
    assert Options(suffix=suffix).suffix == suffix


@pytest.mark.parametrize("header", ["", "a\nb", "a\0"])
def test_bad_headers(header):
    """A header is one line."""
    with pytest.raises(ValueError, match="header: expected"):
        Options(header=header)
