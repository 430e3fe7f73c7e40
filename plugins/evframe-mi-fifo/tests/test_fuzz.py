"""What may be written into a FIFO."""

import json
import os
import select
import time
from itertools import pairwise

import pytest
from evframe_mi.testing.fuzzing import LIMIT_S, check_answer, fuzz, requests
from evframe_mi.testing.measured import Measured
from hypothesis import strategies as st

PLAIN = b':plain:{"jsonrpc":"2.0","method":"events_list","id":"plain"}'
NAMES = (b"any0", b"any1", b"any2")
REPLY_S = 60


class Client:
    """Writes into the FIFO, and reads the replies in a FIFO for each name."""

    def __init__(self, folder):
        self.folder = folder
        for name in (b"plain", *NAMES):
            os.mkfifo(folder / "replies" / name.decode())
        self.fifo = os.open(folder / "fifo", os.O_WRONLY | os.O_NONBLOCK)
        # Open for writing too, so that there is always somebody who reads.
        self.readers = [os.open(folder / "replies" / name.decode(), os.O_RDWR | os.O_NONBLOCK) for name in NAMES]
        self.rest = [""] * len(NAMES)

    def close(self):
        for fd in (self.fifo, *self.readers):
            os.close(fd)

    def write(self, data):
        until = time.monotonic() + REPLY_S
        while data:
            try:
                data = data[os.write(self.fifo, data) :]
            except BlockingIOError:
                self.drain()
                assert time.monotonic() < until

    def drain(self):
        """Read the replies that have arrived, each of which is an answer."""
        for index, reader in enumerate(self.readers):
            text = self.rest[index]
            try:
                while piece := os.read(reader, 65536):
                    text += piece.decode("utf-8", "surrogateescape")
            except BlockingIOError:
                pass
            self.rest[index] = check_answers(text)

    def send(self, cuts, data):
        for start, stop in pairwise(sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})):
            self.write(data[start:stop])

    def plain(self):
        """Ask, and read the reply to its end."""
        # Before the request: a reply without a reader is lost after a moment, which a busy machine may take for itself.
        fd = os.open(self.folder / "replies" / "plain", os.O_RDONLY | os.O_NONBLOCK)
        try:
            self.write(PLAIN)
            got = b""
            while not got.endswith(b',"id":"plain"}'):
                poll = select.poll()
                poll.register(fd, select.POLLIN)
                assert poll.poll(REPLY_S * 1000), got
                got += os.read(fd, 65536)
            check_answer(got)
        finally:
            os.close(fd)
        self.drain()


def check_answers(text):
    """Return what is no whole answer yet."""
    while text:
        try:
            _, end = json.JSONDecoder().raw_decode(text)
        except ValueError as error:
            assert error.pos == len(text) or "Unterminated" in str(error), text
            return text
        check_answer(text[:end].encode("utf-8", "surrogateescape"))
        text = text[end:]
    return text


headers = st.sampled_from([b":%b:" % name for name in NAMES]) | st.sampled_from(
    [b"::", b":missing:", b":a/b:", b":", b"", b": :", b":any0", b":any0::any1:", b"::any0:", b":" + b"x" * 300 + b":"]
)
commands = st.builds(
    lambda blank, header, text: blank + header + text, st.sampled_from([b"", b"\n", b" \t\r\n"]), headers, requests
)


cuts = st.just(()) | st.lists(st.integers(0, 2**16), max_size=3)


@pytest.mark.timeout(LIMIT_S)
def test_any_requests(tmp_path):
    """No request ends the interface, holds others up or leaves anything behind."""
    (tmp_path / "replies").mkdir()
    options = {"fifo_name": f"{tmp_path}/fifo", "reply_dir": f"{tmp_path}/replies"}
    with Measured("evframe_mi_fifo:FifoManagement", options) as measured:
        client = Client(tmp_path)
        try:
            fuzz(measured, client.send, client.plain, st.tuples(cuts, commands))
        finally:
            client.close()
