"""Probes: whether a file would take the next line, found out without one."""

import os

import pytest
from evframe_flatstore import FlatstoreTransport, Options
from evframe_flatstore.file import LineFile
from evframe_flatstore.problems import problem_of

import evframe
from evframe import Batch, Unavailable
from evframe.testing import FakeClock, until

PLACES = {
    "fifo": "no_reader",
    "isdir": "is_directory",
    "nosuch/f": "no_directory",
    "file/f": "no_directory",
    "loop": "eloop",
    "dangling": "no_directory",
    "file": None,
    "new": None,
    "link": None,
}


@pytest.fixture
def folder(tmp_path):
    """Return a folder with a file of each kind."""
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "isdir.x").mkdir()
    (tmp_path / "isdir").symlink_to("isdir.x")
    (tmp_path / "file").write_text("old\n")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "dangling").symlink_to("away/f")
    (tmp_path / "link").symlink_to("target")
    return tmp_path


def listing(folder):
    return {str(path): path.stat().st_size if path.is_file() else None for path in folder.rglob("*")}


async def asked(transport, path):
    """Return the reason of an empty batch, None for none."""
    socket = socket_of(transport, path)
    try:
        result = transport.deliver(socket, Batch(()))
        if result is not True:
            await result
    except Unavailable as error:
        return error.reason
    finally:
        transport.unsubscribed(socket)
    return None


def socket_of(transport, path):
    """Return the socket of a path that need not be good now: a folder may go after the subscription."""
    socket = transport.on_subscribe("flatstore", "/dev/null")
    return type(socket)(str(path), transport._options.suffix, transport._zone)


@pytest.mark.parametrize(("name", "reason"), PLACES.items())
async def test_a_probe_says_what_the_first_event_would_meet(folder, name, reason):
    """The reason of a probe is that of a line, and nothing has been made or changed by it."""
    transport = FlatstoreTransport(Options())
    before = listing(folder)
    assert await asked(transport, folder / name) == reason
    assert listing(folder) == before
    socket = socket_of(transport, folder / name)
    file = transport._file(socket)
    try:
        file.write(b"x\n")
    except Unavailable as error:
        assert error.reason == reason
    else:
        assert reason is None
    finally:
        file.end()
        transport.stop()


async def test_a_device_that_is_full_is_no_space():
    """A device that takes nothing says so to a probe."""
    transport = FlatstoreTransport(Options())
    assert await asked(transport, "/dev/full") == "no_space"
    assert await asked(transport, "/dev/null") is None
    transport.stop()


@pytest.mark.parametrize(
    ("name", "reason"), [("a/b/f", None), ("file/b/f", "no_directory"), ("file/f", "no_directory")]
)
async def test_folders_that_will_be_made_are_not_made_by_a_probe(folder, name, reason):
    """With `make_directories` the nearest folder that exists is judged."""
    transport = FlatstoreTransport(Options(make_directories=True))
    before = listing(folder)
    assert await asked(transport, folder / name) == reason
    assert listing(folder) == before
    transport.stop()


async def test_the_reader_of_a_pipe_sees_no_end(folder):
    """A pipe stays open after the probe of its subscriber, and a probe finds out that its reader has gone or is slow."""
    fifo = folder / "fifo"
    transport = FlatstoreTransport(Options())
    socket = socket_of(transport, fifo)
    file = transport._file(socket)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    file.probe()
    with pytest.raises(BlockingIOError):  # an end would be an empty text
        os.read(reader, 1)
    file.write(b"x\n")
    file.probe()
    while True:
        try:
            file.write(b"x" * 4095 + b"\n")
        except Unavailable:
            break
    with pytest.raises(Unavailable, match="pipe_full"):
        file.probe()
    os.close(reader)
    with pytest.raises(Unavailable, match="no_reader"):
        file.probe()
    file.end()
    transport.stop()


async def test_a_probe_rotates_nothing(tmp_path):
    """An idle file whose name or period has changed stays as it is until a line comes."""
    clock = FakeClock(1_781_000_000.0)
    transport = FlatstoreTransport(Options(suffix=".%s", rotate_period_s=60), clock=clock)
    file = transport._file(socket_of(transport, tmp_path / "f"))
    file.write(b"x\n")
    clock.advance(60)
    file.probe()
    assert os.listdir(tmp_path) == ["f.1781000000"]
    assert file.take_rotations() == []
    file.write(b"x\n")
    assert len(os.listdir(tmp_path)) == 2
    file.end()
    transport.stop()


def test_a_file_that_ends_during_a_failing_write_is_closed():
    """A subscriber that is removed while the disk refuses its line leaves no open file."""

    def clock():
        file.end()
        return 0.0

    file = LineFile("/dev/full", Options(), None, clock, lambda _: True)
    with pytest.raises(Unavailable, match="no_space"):
        file.write(b"x\n")
    fds = [fd for fd in os.listdir("/proc/self/fd") if os.path.exists(f"/proc/self/fd/{fd}")]
    assert not any(os.path.samefile(f"/proc/self/fd/{fd}", "/dev/full") for fd in fds)


@pytest.mark.parametrize("makes", [False, True])
async def test_the_folder_of_the_values_is_judged(tmp_path, makes):
    """With parameters in the path, a probe asks for the folder before the first one; it makes none."""
    transport = FlatstoreTransport(Options(make_directories=True))
    path = tmp_path / "away" / "{a}"
    socket = transport.on_subscribe("flatstore", str(path))
    files = transport._set(socket, socket.template)
    files._makes_directories = makes
    if makes:
        files.probe()
    else:
        with pytest.raises(Unavailable, match="no_directory"):
            files.probe()
    assert os.listdir(tmp_path) == []
    transport.stop()


async def test_a_configured_file_that_cannot_be_written_is_away_without_an_event(folder):
    """The probe at the start finds the word of delivery."""
    config = folder / "evframe.toml"
    config.write_text(
        '[core]\nstate_path = ""\n[plugins]\ndisable = ["mi-http"]\n'
        f'[[subscriptions]]\nevent = "E"\nsocket = "flatstore:{folder}/fifo"\n'
    )
    async with evframe.EventInterface.from_toml(config) as events:
        lease = events.subscriptions[0]
        await until(lambda: events.away(lease) == "no_reader")


def test_words_of_errors():
    """Errors have the words of the reference."""
    assert problem_of(FileExistsError(17, "")) == "no_directory"
