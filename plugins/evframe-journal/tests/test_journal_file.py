"""The file of the journal, without the rest."""

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from evframe_journal.bounds import Commit, Kept
from evframe_journal.file import JournalFile
from evframe_journal.frames import DamagedFrameError, Frame
from evframe_journal.problems import needs_mending

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
        file.open()
        return file

    yield open_
    files.pop().close()


async def write(file, *frames, lows=None):
    over = asyncio.get_running_loop().create_future()
    file.write(Commit(frames, lows or {}), lambda _, error: over.set_result(error))
    assert await over is None


async def reading(file, position, most=1000):
    over = asyncio.get_running_loop().create_future()
    file.read(KEY, position, most, lambda reading, error: over.set_result((reading, error)))
    found, error = await over
    assert error is None
    return found


async def read(file, position, most=1000):
    found = await reading(file, position, most)
    return [(list(each.positions), list(each.times), each.payloads) for each in found.frames]


async def mend(file, *frames, loaded=None):
    over = asyncio.get_running_loop().create_future()
    file.mend(Commit(frames, {}), loaded or {}, {}, lambda mended, error: over.set_result((mended, error)))
    mended, error = await over
    assert error is None
    return mended


async def test_frames_come_back_as_they_were(open_file):
    """A frame has its positions, times and payloads after the file was opened again."""
    await write(open_file(), frame(0, 1, 3), frame(4, 9))
    file = open_file()
    assert file.open() == {KEY: Kept(0, 10, 5)}
    assert await read(file, 0) == [([0, 1, 3], [1.5] * 3, [b"0", b"1", b"3"]), ([4, 9], [1.5] * 2, [b"4", b"9"])]
    assert await read(file, 3) == [([3], [1.5], [b"3"]), ([4, 9], [1.5] * 2, [b"4", b"9"])]
    assert await read(file, 1, 1) == [([1], [1.5], [b"1"])]
    assert await read(file, 5) == [([9], [1.5], [b"9"])]


async def test_what_is_settled_is_not_counted_and_goes_with_its_frame(open_file):
    """A frame stays until all of it is settled; its settled events are not counted."""
    file = open_file()
    await write(file, frame(0, 1, 3), frame(4, 5))
    await write(file, lows={KEY: 3})
    assert open_file().open() == {KEY: Kept(3, 6, 3)}
    file = open_file()
    await write(file, lows={KEY: 4})
    assert await read(file, 0) == [([4, 5], [1.5] * 2, [b"4", b"5"])]
    assert file.open() == {KEY: Kept(4, 6, 2)}


async def test_positions_are_not_used_again(open_file):
    """When everything is settled, the next position is behind all that were."""
    file = open_file()
    await write(file, frame(0, 1))
    await write(file, lows={KEY: 2})
    assert open_file().open() == {KEY: Kept(2, 2, 0)}


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
        JournalFile(str(tmp_path / "journal")).open()


async def test_a_damaged_frame_is_put_aside(open_file, tmp_path):
    """A frame with other bytes is moved to the table of damaged ones, and the next frames are read."""
    await write(open_file(), frame(0, 1), frame(2, 3), frame(4, 5))
    open_file().close()
    damage(tmp_path / "journal", 3)
    file = open_file()
    found = await reading(file, 0)
    assert (found.damaged, found.end) == (2, 6)
    assert [list(each.positions) for each in found.frames] == [[0, 1], [4, 5]]
    assert file.open() == {KEY: Kept(0, 6, 4)}
    assert rows_of(tmp_path / "journal", "SELECT key, first, last, count FROM damaged") == [(KEY, 2, 3, 2)]
    assert (await reading(file, 0)).damaged == 0


LONG = Frame(KEY, range(10, 210), [1.5] * 200, [b"<%d>" % place for place in range(10, 210)], b"run")


def with_other_bytes(frame, old, new):
    first, body = frame.encoded()
    assert body.count(old) == 1
    return first, body.replace(old, new)


def test_what_can_be_read_of_a_damaged_frame():
    """Another byte of a payload is found in its block, and the others are as they were; positions are known, or all is lost."""
    with pytest.raises(DamagedFrameError, match="expected the checksum of the payloads") as caught:
        Frame.decoded(KEY, *with_other_bytes(LONG, b"<100>", b"<x00>"))
    rest = caught.value.rest
    assert caught.value.lost == list(range(74, 138))
    assert rest.positions == [*range(10, 74), *range(138, 210)]
    assert rest.payloads == [b"<%d>" % place for place in rest.positions]
    assert (list(rest.times), rest.run) == ([1.5] * 136, b"run")
    assert Frame.decoded(KEY, *with_other_bytes(LONG, b"<100>", b"<x00>"), 138).positions == list(range(138, 210))
    first, body = LONG.encoded()
    with pytest.raises(DamagedFrameError) as caught:
        Frame.decoded(KEY, first, body[:20] + b"x" + body[21:])
    assert (caught.value.rest, caught.value.lost) == (None, None)


def test_no_byte_is_read_as_another():
    """Wherever a byte is another one, or the end is missing, what is read is what was written, or nothing is."""
    first, body = LONG.encoded()
    for at, byte in enumerate(body):
        for damaged in (body[:at] + bytes([byte ^ 1]) + body[at + 1 :], body[:at]):
            with pytest.raises(DamagedFrameError) as caught:
                Frame.decoded(KEY, first, damaged)
            rest = caught.value.rest
            assert rest is None or rest.payloads == [b"<%d>" % place for place in rest.positions]


async def test_the_rest_of_a_damaged_frame_is_read(open_file, tmp_path):
    """The whole payloads of a damaged frame are read, and take its place in the file; the frame is put aside."""
    await write(open_file(), LONG, frame(210))
    open_file().close()
    with closing(sqlite3.connect(tmp_path / "journal", isolation_level=None)) as database:
        database.execute(
            "UPDATE frames SET body = ? WHERE last = 209", (with_other_bytes(LONG, b"<100>", b"<x00>")[1],)
        )
    file = open_file()
    found = await reading(file, 20)
    assert [list(each.positions) for each in found.frames] == [[*range(20, 74), *range(138, 210)], [210]]
    assert (found.damaged, found.end, found.lost) == (64, 211, list(range(74, 138)))
    assert file.open()[KEY].count == 137
    assert (await reading(file, 20)).damaged == 0
    assert rows_of(tmp_path / "journal", "SELECT first, last, count FROM damaged") == [(10, 209, 200)]


async def test_the_rest_of_a_damaged_frame_is_in_another_file(open_file, tmp_path):
    """A file that is made again has what can be read of a damaged frame."""
    await write(open_file(), LONG)
    open_file().close()
    with closing(sqlite3.connect(tmp_path / "journal", isolation_level=None)) as database:
        database.execute(
            "UPDATE frames SET body = ? WHERE last = 209", (with_other_bytes(LONG, b"<100>", b"<x00>")[1],)
        )
    file = open_file()
    (tmp_path / "journal").unlink()
    mended = await mend(file, loaded={KEY: 70})
    assert (mended.kept[KEY].count, mended.left) == (76, {KEY: 76})


async def test_a_damaged_file_is_made_again(open_file, tmp_path):
    """Frames on whole pages are in the new file with what was in memory; the damaged file is kept beside it."""
    path = tmp_path / "journal"
    many = [Frame(KEY, [place], [1.5], [b"%0999d" % place]) for place in range(100)]
    await write(open_file(), *many)
    open_file().close()
    page = bytearray(path.read_bytes())
    size = 4096
    leaves = [at for at in range(size, len(page), size) if page[at] == 13]
    page[leaves[5] : leaves[5] + size] = bytes(size)
    path.write_bytes(page)
    file = JournalFile(str(path))
    with pytest.raises(sqlite3.DatabaseError) as caught:
        file.open()
    assert needs_mending(caught.value)
    mended = await mend(file, frame(0, 1), loaded={KEY: 2})
    assert mended.is_new
    assert mended.moved_to == f"{path}.damaged"
    assert Path(f"{path}.damaged").exists()
    assert 90 <= mended.left[KEY] < 98
    positions = [place for (place,) in rows_of(path, "SELECT first FROM frames ORDER BY last")]
    assert positions[0] == 0
    assert len(positions) == mended.left[KEY] + 1
    assert file.open()[KEY].count == mended.left[KEY] + 2
    await write(file, frame(100))
    file.close()


@pytest.mark.parametrize("is_replaced", [False, True])
async def test_a_file_that_is_gone_is_made_again(open_file, tmp_path, is_replaced):
    """A file that was deleted or replaced is noticed by a commit; the new one has all that the open one had."""
    path = tmp_path / "journal"
    file = open_file()
    await write(file, frame(0, 1), frame(2, 3))
    path.unlink()
    if is_replaced:
        path.write_bytes(b"another file")
    over = asyncio.get_running_loop().create_future()
    file.write(Commit([frame(4)], {}), lambda _, error: over.set_result(error))
    assert needs_mending(await over)
    mended = await mend(file, frame(0, 1), loaded={KEY: 2})
    assert (mended.left, mended.kept) == ({KEY: 2}, {KEY: Kept(0, 4, 4)})
    assert (mended.moved_to is not None) == is_replaced
    assert not is_replaced or Path(mended.moved_to).read_bytes() == b"another file"
    await write(file, frame(4))
    assert open_file().open() == {KEY: Kept(0, 5, 5)}


def rows_of(path, statement):
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
        return database.execute(statement).fetchall()


def damage(path, last):
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        (body,) = database.execute("SELECT body FROM frames WHERE last = ?", (last,)).fetchone()
        database.execute("UPDATE frames SET body = ? WHERE last = ?", (body[:-1] + b"x", last))


async def test_a_file_of_the_first_version_is_upgraded(tmp_path):
    """What the first version has written is read as it was, and new frames go behind it."""
    path = tmp_path / "journal"
    payloads = [b'{"jsonrpc":"2.0","method":"E_KEPT","params":{"number":%d}}' % number for number in (3, 4, 6)]
    body = bytes.fromhex(
        "03000000cb2ebad0000000000100000003000000"
        "00002040fc54d94100006040fc54d9410000a040fc54d941390000003900000039000000"
    ) + b"".join(payloads)
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.executescript("""
            PRAGMA journal_mode = WAL;
            CREATE TABLE subscribers (key TEXT PRIMARY KEY, low INTEGER NOT NULL) WITHOUT ROWID;
            CREATE TABLE frames (
                key TEXT NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL, count INTEGER NOT NULL,
                body BLOB NOT NULL
            );
            CREATE UNIQUE INDEX places ON frames (key, last);
            INSERT INTO subscribers VALUES ('udp:127.0.0.1:1', 4);
            PRAGMA application_id = 0x65766A6E;
            PRAGMA user_version = 1;
        """)
        database.execute("INSERT INTO frames VALUES (?, 3, 6, 3, ?)", (KEY, body))
    file = JournalFile(str(path))
    assert file.open() == {KEY: Kept(4, 7, 2)}
    assert await read(file, 4) == [([4, 6], [1700000001.5, 1700000002.5], payloads[1:])]
    await write(file, frame(7))
    assert file.open() == {KEY: Kept(4, 8, 3)}
    file.close()
