"""Connections to servers that answer as no NATS does, and logins from files."""

import asyncio
from contextlib import asynccontextmanager

import nkeys
import pytest
from evframe_nats_clients.connection import NatsConnection, Settings, _credentials, connect
from evframe_nats_clients.logins import LoginOptions, check_subject
from evframe_wire.tls import client_context
from stream_servers import StreamServer

import evframe
from evframe.plugin import Resolver

INFO = b'INFO {"server_id":"x","version":"2.12.0","headers":true,"max_payload":1000,"auth_required":true}\r\n'
SEED = bytes(nkeys.from_seed(nkeys.encode_seed(bytes(range(32)), nkeys.PREFIX_BYTE_USER)).seed).decode()
CREDS = f"""-----BEGIN NATS USER JWT-----
eyJ0eXAi.e30.c2ln
------END NATS USER JWT------

-----BEGIN USER NKEY SEED-----
{SEED}
------END USER NKEY SEED------
"""


@asynccontextmanager
async def answering(answer):
    """Yield the port of a server, and what comes on its connections."""
    sent = []

    async def serve(reader, writer):
        writer.write(INFO)
        try:
            if answer is not None:
                sent.append(await reader.readuntil(b"PING\r\n"))
                writer.write(answer)
            sent.append(await reader.read())
        except asyncio.IncompleteReadError as error:
            sent.append(error.partial)

    async with StreamServer(serve) as server:
        yield server.port, sent
        await server.ended()


async def connected(port, tls=None, **login):
    settings = Settings("evframe", 1.0, 0.3, 0, LoginOptions(**login), tls)
    found = await Resolver().addresses("127.0.0.1", port)
    return await connect("127.0.0.1", found, settings, lambda *_: None, lambda _: None)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"-ERR 'Authorization Violation'\r\n", "access_refused"),
        (b"-ERR 'Maximum Connections Exceeded'\r\n", "access_refused"),
        (b"-ERR 'Something Else'\r\n", "closed"),
        (b"", "login_timeout"),
    ],
)
async def test_servers_that_refuse_a_login(answer, reason):
    """Each way not to be let in has its reason, and the connection ends."""
    async with answering(answer) as (port, sent):
        with pytest.raises(evframe.Unavailable, match=reason):
            await connected(port, user="u", password="s3cret")
        while len(sent) < 2:
            await asyncio.sleep(0.002)
    assert b'"pass": "s3cret"' in sent[0]


async def test_nothing_secret_is_sent_without_encryption():
    """A server that does not encrypt gets nothing when it should."""
    async with answering(None) as (port, sent):
        with pytest.raises(evframe.Unavailable, match="tls"):
            await connected(port, client_context(), user="u", password="s3cret")
        while not sent:
            await asyncio.sleep(0.002)
    assert sent == [b""]


async def test_flush_and_end():
    """A flush that is not answered is bounded, and ends with the connection; what ends leaves no task."""
    async with answering(b"PONG\r\n") as (port, _):
        before = asyncio.all_tasks()
        connection = await connected(port)
        assert isinstance(connection, NatsConnection)
        with pytest.raises(evframe.Unavailable, match="confirm_timeout"):
            await connection.flushed(0.05)
        flush = asyncio.ensure_future(connection.flushed(60))
        await asyncio.sleep(0)
        connection.end("gone")
        with pytest.raises(evframe.Unavailable, match="gone"):
            await flush
        connection.end("again")
        assert connection.ended.result() == "gone"
        while [task for task in asyncio.all_tasks() - before if "nats" in repr(task.get_coro())]:
            await asyncio.sleep(0.002)


@pytest.mark.parametrize(
    ("field", "text"),
    [
        ("creds_file", ""),
        ("creds_file", CREDS.replace("BEGIN NATS", "END NATS")),
        ("creds_file", CREDS.replace(SEED, "none")),
        ("creds_file", CREDS.replace("BEGIN USER", "END USER")),
        ("nkey_file", "none"),
        ("nkey_file", "é"),
    ],
)
async def test_files_without_a_login(tmp_path, field, text):
    """A file in which no login stands has a reason; the library would look for it without an end."""
    (tmp_path / "file").write_text(text)
    async with answering(None) as (port, _):
        with pytest.raises(evframe.Unavailable, match="no_credentials"):
            await connected(port, **{field: str(tmp_path / "file")})


def test_files_with_a_login(tmp_path):
    """The library gets the text of a file, with its lines ended as it takes them."""
    for text in (CREDS, CREDS.replace("\n", "\r\n")):
        (tmp_path / "creds").write_bytes(text.encode())
        found = _credentials(LoginOptions(creds_file=str(tmp_path / "creds")))["user_credentials"]
        assert str(found) == CREDS
    (tmp_path / "nkey").write_text(f"{SEED}\n")
    assert _credentials(LoginOptions(nkey_file=str(tmp_path / "nkey"))) == {"nkeys_seed_str": SEED}


@pytest.mark.parametrize("subject", ["a", "a.b", "é.$x", "a" * 1024])
def test_subjects(subject):
    """What may be published to is as it was."""
    assert check_subject(subject) == subject


@pytest.mark.parametrize(
    "subject", ["", ".", "a.", ".a", "a..b", "*", "a.>", "a b", "a\r\n", "\x7f", "\ud800", "é" * 513]
)
def test_no_subjects(subject):
    """What a server takes for something else is refused."""
    with pytest.raises(ValueError, match="expected a subject"):
        check_subject(subject)


def test_write_to_a_lost_connection_on_uvloop():
    """A write before the end of the connection is noticed is no error there: uvloop raises one."""
    uvloop = pytest.importorskip("uvloop")

    async def lose():
        async with answering(b"PONG\r\n") as (port, _):
            connection = await connected(port)
            connection._opened._io_writer.transport.abort()
            await asyncio.sleep(0)
            connection.write(b"PING\r\n")
            with pytest.raises(evframe.Unavailable):
                await connection.flushed(5)
            assert await asyncio.wait_for(connection.ended, 5)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(lose())
