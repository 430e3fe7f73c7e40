"""The file of the journal, without the rest."""

import asyncio

import pytest
from evframe_journal.bounds import Kept
from evframe_journal.file import JournalFile
from evframe_journal.frames import DamagedFrameError, Frame
from evframe_journal.journal import Commit

KEY = "udp:127.0.0.1:1"


def frame(*positions):
    return Frame(KEY, positions, [1.5] * len(positions), [b"%d" % position for position in positions])


@pytest.fixture
async def open_file(tmp_path):
    files = []

    def open_() -> JournalFile:
        while files:
            files.pop().close()
        file = JournalFile(str(tmp_path / "journal"))
        files.append(file)
        return file

    yield open_
    files.pop().close()


async def write(file, *frames, lows=None):
    over = asyncio.get_running_loop().create_future()
    file.write(Commit(frames, lows or {}), over.set_result)
    assert await over is None


async def read(file, position):
    over = asyncio.get_running_loop().create_future()
    file.read(KEY, position, lambda frames, error: over.set_result((frames, error)))
    frames, error = await over
    assert error is None
    return [(list(each.positions), list(each.times), each.payloads) for each in frames]


async def test_frames_come_back_as_they_were(open_file):
    """A frame has its positions, times and payloads after the file was opened again."""
    await write(open_file(), frame(0, 1, 3), frame(4, 9))
    file = open_file()
    assert file.kept() == {KEY: Kept(0, 10, 5)}
    assert await read(file, 3) == [([0, 1, 3], [1.5] * 3, [b"0", b"1", b"3"]), ([4, 9], [1.5] * 2, [b"4", b"9"])]
    assert await read(file, 5) == [([4, 9], [1.5] * 2, [b"4", b"9"])]


async def test_what_is_settled_is_not_counted_and_goes_with_its_frame(open_file):
    """A frame stays until all of it is settled; its settled events are not counted."""
    file = open_file()
    await write(file, frame(0, 1, 3), frame(4, 5))
    await write(file, lows={KEY: 3})
    assert open_file().kept() == {KEY: Kept(3, 6, 3)}
    file = open_file()
    await write(file, lows={KEY: 4})
    assert await read(file, 0) == [([4, 5], [1.5] * 2, [b"4", b"5"])]
    assert file.kept() == {KEY: Kept(4, 6, 2)}


async def test_positions_are_not_used_again(open_file):
    """When everything is settled, the next position is behind all that were."""
    file = open_file()
    await write(file, frame(0, 1))
    await write(file, lows={KEY: 2})
    assert open_file().kept() == {KEY: Kept(2, 2, 0)}


def test_other_bytes_are_an_error():
    """A frame with another byte, or without its end, is refused."""
    first, body = frame(0, 1).encoded()
    for damaged in (body[:-1], body[:3], body[:-1] + b"x", b""):
        with pytest.raises(DamagedFrameError, match="expected"):
            Frame.decoded(KEY, first, damaged)


async def test_a_second_process_is_refused(open_file, tmp_path):
    """A file that is open cannot be opened by another."""
    open_file()
    with pytest.raises(OSError, match="use"):
        JournalFile(str(tmp_path / "journal"))
