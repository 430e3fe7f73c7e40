"""The client with the installed plugins: events as they are raised, and every management interface there is."""

import asyncio
import os
import re
import socket
import subprocess
import sys
import threading
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

import attrs
import pytest
from evframe_client import AsyncClient, Client, ManagementError, subscriptions
from forks import commands
from processes import bound

import evframe
from evframe.config import parse_config
from evframe.testing import until

# Each interface: its plugin, its table, and its URL, in which {folder} and {port} are filled in.
REACHED = [
    pytest.param(*one, id=one[2].partition(":")[0])
    for one in [
        ("mi-http", 'bind = "unix:{folder}/http.sock"', "http+unix://{folder%}%2Fhttp.sock/mi"),
        ("mi-datagram", 'socket_name = "{folder}/mi.sock"', "unix://{folder}/mi.sock"),
        ("mi-datagram", 'socket_name = "udp:127.0.0.1:{port}"', "udp://127.0.0.1:{port}"),
        ("mi-fifo", 'fifo_name = "{folder}/mi"\nreply_dir = "{folder}"', "fifo://{folder}/mi?reply_dir={folder}"),
    ]
]
EVFRAME = Path(sys.executable).parent / "evframe"
RECEIVERS = ["udp", "unix", "tcp"]
LOOK_S = 0.05


def interface(bind="127.0.0.1:0", more=""):
    return evframe.EventInterface(
        parse_config(f'[plugins.mi-http]\nbind = "{bind}"\n{more}[[events]]\nname = "T_A"\n[[events]]\nname = "U_A"\n')
    )


def url_of(events):
    return "http://%s:%d/mi" % events.plugin("mi-http").address


def subscribed(events):
    return sorted((lease.event.name, lease.subscriber.socket.canonical) for lease in events.subscriptions)


async def received(subscription, count):
    got = []
    async with asyncio.timeout(30):
        async for event in subscription:
            got.append((event.name, event.params))
            if len(got) == count:
                return got


@pytest.mark.parametrize("receiver", RECEIVERS)
async def test_subscription(receiver):
    """Events arrive as they are raised, those of events too that were not there at first; nothing stays behind."""
    async with interface() as events:
        client = AsyncClient(url_of(events))
        async with client.subscribe("T_*", "U_B", receiver=receiver, look_s=LOOK_S) as subscription:
            assert subscribed(events) == [("T_A", subscription.socket)]
            assert subscription.socket.startswith(f"{receiver}:")
            events.raise_event("T_A", {"a": 1, "b": "x\u00e9\n"})
            events.raise_event("U_A", {"not": "wanted"})
            events.raise_event("T_A", [1, None])
            events.raise_event("T_A")
            assert await received(subscription, 3) == [
                ("T_A", {"a": 1, "b": "x\u00e9\n"}),
                ("T_A", [1, None]),
                ("T_A", None),
            ]
            events.register_event("U_B")
            await until(lambda: "U_B" in subscription.names, 20)
            events.raise_event("U_B", {"late": True})
            assert await received(subscription, 1) == [("U_B", {"late": True})]
        assert subscribed(events) == []
        assert (subscription.unparsed, subscription.lost, subscription.interruptions) == (0, 0, 0)
        assert not os.path.exists(subscription.socket.partition(":")[2])


@pytest.mark.parametrize("receiver", RECEIVERS)
async def test_subscription_of_a_thread(receiver):
    """The twin for threads does the same."""
    async with interface() as events:

        def work():
            with Client(url_of(events)).subscribe("T_*", receiver=receiver, look_s=LOOK_S) as subscription:
                raised.set()
                got = [next(subscription).params for _ in range(3)]
                with pytest.raises(TimeoutError, match="expected an event within"):
                    subscription.get(0.01)
                return got, subscription

        raised = threading.Event()
        working = asyncio.create_task(asyncio.to_thread(work))
        await until(raised.is_set, 20)
        for n in range(3):
            events.raise_event("T_A", {"n": n})
        got, subscription = await working

        assert got == [{"n": 0}, {"n": 1}, {"n": 2}]
        assert subscribed(events) == []
        with pytest.raises(RuntimeError, match="expected a subscription in its `with` block"):
            subscription.get(0.01)


async def test_signal_at_the_end_of_subscribing(monkeypatch):
    """A signal that comes as the thread gets the answer leaves no lease behind, although no `with` block has begun."""
    run = subscriptions.run
    held = []

    def run_and_interrupt(coroutine):
        run(coroutine)
        if not held:
            held.append(subscribed(events))
            raise KeyboardInterrupt

    def subscribe():
        with pytest.raises(KeyboardInterrupt), Client(url_of(events)).subscribe("T_*"):
            pass

    monkeypatch.setattr(subscriptions, "run", run_and_interrupt)
    async with interface() as events:
        await asyncio.to_thread(subscribe)
        assert [len(each) for each in (*held, subscribed(events))] == [1, 0]


@pytest.mark.parametrize("receiver", ["unix", "tcp"])
async def test_no_event_is_lost_to_a_slow_consumer(receiver):
    """Receivers that can make the gateway wait lose nothing, however slowly events are taken."""
    async with interface() as events:
        async with AsyncClient(url_of(events)).subscribe("T_A", receiver=receiver) as subscription:
            for n in range(20_000):
                events.raise_event("T_A", {"n": n})
            await asyncio.sleep(0)
            assert await received(subscription, 20_000) == [("T_A", {"n": n}) for n in range(20_000)]


@pytest.mark.parametrize("receiver", RECEIVERS)
async def test_restart_of_the_gateway(receiver, caplog):
    """A gateway that goes and comes back is subscribed again, and that there was a gap is known."""
    first = interface()
    async with first:
        bind = "%s:%d" % first.plugin("mi-http").address
        subscription = await AsyncClient(url_of(first)).subscribe("T_*", receiver=receiver, look_s=LOOK_S).__aenter__()
    try:
        await until(lambda: "the gateway is away" in caplog.text, 20)
        async with interface(bind) as second:
            await until(lambda: subscription.interruptions == 1 and subscribed(second), 20)
            second.raise_event("T_A", {"again": 1})
            assert await received(subscription, 1) == [("T_A", {"again": 1})]
            await subscription.__aexit__(None, None, None)
            assert subscribed(second) == []
    finally:
        await subscription.__aexit__(None, None, None)


async def test_renewal():
    """A short lease is renewed for as long as somebody listens."""
    async with interface() as events:
        async with AsyncClient(url_of(events)).subscribe("T_A", lease_s=1, look_s=LOOK_S) as subscription:
            lease = events.subscription("T_A", subscription.socket)
            ends_at = lease.deadline
            await until(lambda: lease.deadline > ends_at + 1.0, 20)
            assert events.subscription("T_A", subscription.socket) is lease
            assert subscription.interruptions == 0


async def test_reliable_mode():
    """A gateway that wants its events confirmed gets a confirmation for each."""
    async with interface(more="[plugins.stream]\nreliable_mode = true\n") as events:
        async with AsyncClient(url_of(events)).subscribe("T_A", receiver="tcp") as subscription:
            raising = asyncio.gather(*(events.raise_event_and_wait("T_A", {"n": n}) for n in range(50)))
            got = await received(subscription, 50)
            outcomes = [outcome for report in await raising for outcome in report]

    assert [params["n"] for _, params in got] == list(range(50))
    assert all(outcome.delivered for outcome in outcomes), outcomes


@pytest.mark.parametrize("receiver", ["udp", "tcp"])
async def test_what_cannot_be_parsed_is_counted(receiver):
    """Somebody else's bytes end nothing; they are counted."""
    async with interface() as events:
        async with AsyncClient(url_of(events)).subscribe("T_A", receiver=receiver) as subscription:
            host, _, port = subscription.socket.partition(":")[2].rpartition(":")
            kind = socket.SOCK_DGRAM if receiver == "udp" else socket.SOCK_STREAM
            for text in (b"garbage", b'{"method":1}', b'{"method":"E","params":1}', b"[]"):
                with socket.socket(socket.AF_INET, kind) as sender:
                    sender.connect((host, int(port)))
                    sender.send(text)
            number = 0
            async with asyncio.timeout(30):
                while subscription.unparsed < 4:  # they may arrive after an event
                    number += 1
                    events.raise_event("T_A", {"n": number})
                    assert await received(subscription, 1) == [("T_A", {"n": number})]

    assert subscription.unparsed == 4


async def test_ends_of_a_subscription():
    """A subscription is left too when its block ends with an error, or is cancelled, or never began."""
    async with interface() as events:
        client = AsyncClient(url_of(events))
        with pytest.raises(KeyError):
            async with client.subscribe("T_A"):
                raise KeyError
        assert subscribed(events) == []

        async def listen():
            async with client.subscribe("T_A") as subscription:
                async for _ in subscription:
                    pass

        listening = asyncio.create_task(listen())
        await until(lambda: subscribed(events), 20)
        listening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await listening
        assert subscribed(events) == []

        with pytest.raises(OSError, match="assign requested address"):
            async with client.subscribe("T_A", address="192.0.2.1"):
                pass
    with pytest.raises(ManagementError, match="no answer from"):
        async with client.subscribe("T_A"):
            pass


async def test_over_ipv6():
    """The address at which the gateway is told to send is found out, for IPv6 too."""
    async with interface("[::1]:0") as events:
        url = "http://[::1]:%d/mi" % events.plugin("mi-http").address[1]
        for receiver in ("udp", "tcp"):
            async with AsyncClient(url).subscribe("T_A", receiver=receiver) as subscription:
                assert subscription.socket.startswith(f"{receiver}:[::1]:")
                events.raise_event("T_A", {"n": 6})
                assert await received(subscription, 1) == [("T_A", {"n": 6})]


@pytest.fixture
def command():
    """Return what runs `evframe` with some words."""
    return partial(commands(), EVFRAME)


@pytest.mark.parametrize(("plugin", "table", "url"), REACHED)
async def test_every_interface(tmp_path, command, plugin, table, url):
    """A gateway is managed over each interface alike: by the library, by the command line, by URL and by configuration."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    for name, value in (
        ("{folder%}", str(tmp_path).replace("/", "%2F")),
        ("{folder}", str(tmp_path)),
        ("{port}", port),
    ):
        table, url = table.replace(name, value), url.replace(name, value)
    text = f"[plugins.{plugin}]\n{table}\n"
    (tmp_path / "evframe.toml").write_text(text)
    more = "" if plugin == "mi-http" else '[plugins.mi-http]\nbind = "127.0.0.1:0"\n'
    async with evframe.EventInterface(parse_config(f'{text}{more}[[events]]\nname = "T_A"\n')) as events:
        client = AsyncClient(url)
        assert "T_A" in [event["name"] for event in (await client.call("events_list"))["Events"]]
        with pytest.raises(ManagementError, match="^480: Temporarily Unavailable$"):
            await client.call("raise_event", ["T_A"])
        async with client.subscribe("T_*", receiver="unix") as subscription:
            done = await asyncio.to_thread(command, "raise", "T_A", "n=1", "--url", url)
            assert (done.stdout, done.stderr) == ("OK\n", "")
            assert await received(subscription, 1) == [("T_A", {"n": "1"})]
            done = await asyncio.to_thread(command, "subscribers", "-c", str(tmp_path / "evframe.toml"))
            assert subscription.socket in done.stdout
            done = await asyncio.to_thread(command, "events", "--url", url)
            assert "\tT_A\t1\t" in done.stdout
            done = await asyncio.to_thread(command, "top", "--once", "--json", "--no-rate", "--url", url)
            assert f'"socket": "{subscription.socket}", "state": "connected"' in done.stdout
        assert subscribed(events) == []
        words = ("--where", "n > 1", "--only", "n", "--count", "2", "--no-time")
        watching = asyncio.create_task(asyncio.to_thread(command, "watch", "T_*", "--url", url, *words))
        await until(lambda: subscribed(events), 30)
        for number in range(4):
            events.raise_event("T_A", {"n": number, "secret": "x"})
        done = await watching
        assert (done.returncode, done.stdout) == (0, 'T_A {"n":2}\nT_A {"n":3}\n')
        assert re.fullmatch(r"2 events in \d+ s, none lost\n", done.stderr)
        assert subscribed(events) == []
        refused = await asyncio.to_thread(command, "mi", "nope", "--url", url)
        assert (refused.returncode, refused.stderr) == (
            1,
            "Error: -32601: Method not found (expected a command of the gateway, see evframe mi, got 'nope')\n",
        )


async def test_token_over_tls(tmp_path, command):
    """An interface with a token and TLS is used by whoever has the token and trusts the certificate."""
    words = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=localhost"]
    words += ["-addext", "subjectAltName=DNS:localhost", "-keyout", f"{tmp_path}/key", "-out", f"{tmp_path}/cert"]
    subprocess.run(words, check=True, capture_output=True)
    (tmp_path / "token").write_text("t0ken\n")
    (tmp_path / "token").chmod(0o600)
    options = {
        name: f"{tmp_path}/{file}"
        for name, file in (("tls_cert_file", "cert"), ("tls_key_file", "key"), ("token_file", "token"))
    }
    tls = "".join(f'{name} = "{path}"\n' for name, path in options.items())
    text = f'[plugins.mi-http]\nbind = "localhost:0"\n{tls}[[events]]\nname = "T_A"\n'
    async with evframe.EventInterface(parse_config(text)) as events:
        port = events.plugin("mi-http").address[1]
        (tmp_path / "evframe.toml").write_text(text.replace("localhost:0", f"localhost:{port}"))
        url = f"https://localhost:{port}/mi"
        client = AsyncClient(url, token="t0ken", ca_file=f"{tmp_path}/cert")
        async with client.subscribe("T_A") as subscription:
            await client.call("raise_event", ["T_A", {"n": 1}])
            assert await received(subscription, 1) == [("T_A", {"n": 1})]
        for other in (attrs.evolve(client, token=None), attrs.evolve(client, token="other")):
            with pytest.raises(ManagementError, match="HTTP status 401 Unauthorized"):
                await other.call("events_list")
        given = ["--ca-file", f"{tmp_path}/cert"]
        for words in (["--url", url, "--token-file", f"{tmp_path}/token"], ["-c", f"{tmp_path}/evframe.toml"]):
            done = await asyncio.to_thread(command, "events", *words, *given)
            assert "T_A" in done.stdout, done.stderr


@pytest.mark.parametrize("receiver", RECEIVERS)
async def test_watch_of_a_gateway_that_restarts(receiver):
    """`watch` goes on when the gateway was started again, and leaves when it is told to end."""
    first = interface()
    async with AsyncExitStack() as at_end:
        async with first:
            bind = "%s:%d" % first.plugin("mi-http").address
            words = ["watch", "T_*", "--no-time", "--url", url_of(first), "--receiver", receiver]
            watch = await asyncio.create_subprocess_exec(
                *bound(EVFRAME, *words), stdout=subprocess.PIPE, stderr=subprocess.PIPE
            )
            at_end.push_async_callback(ended, watch)
            await until(lambda: subscribed(first), 30)
            first.raise_event("T_A", {"n": 1})
            assert await watch.stdout.readline() == b'T_A {"n":1}\n'
        away = (await watch.stderr.readline()).decode()
        assert away.startswith(f"the gateway is away: no answer from http://{bind}/mi: "), away
        async with interface(bind) as second:
            await until(lambda: subscribed(second), 30)
            second.raise_event("T_A", {"n": 2})
            assert await watch.stdout.readline() == b'T_A {"n":2}\n'
            told = [await watch.stderr.readline(), await watch.stderr.readline()]
            assert told == [b"leases were lost\n", b"the gateway is back\n"]
            watch.terminate()
            assert await watch.wait() == 0
            summary = (await watch.stderr.readline()).decode()
            assert re.fullmatch(
                r"2 events in \d+ s, none lost, and those that were raised while the leases were lost\n", summary
            )
            assert subscribed(second) == []


async def ended(process):
    if process.returncode is None:
        process.kill()
    await process.communicate()
