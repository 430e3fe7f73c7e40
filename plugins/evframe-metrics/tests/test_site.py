"""The address: who gets answers, whether the process is ready, and other options while the interface works."""

import asyncio
import socket
from contextlib import AsyncExitStack

import aiohttp
import pytest
from evframe_metrics import Metrics, Options, library
from stream_servers import connection_to

import evframe
from evframe.config import Policy, parse_config
from evframe.testing import ConfigFile, FakeClock, MemoryTransport, until


async def get(metrics, path, **headers):
    url = f"http://127.0.0.1:{metrics.address[1]}{path}"
    async with aiohttp.ClientSession() as client, client.get(url, headers=headers) as response:
        return response.status, await response.text()


class Site(ConfigFile):
    """A configuration that is loaded again."""

    def __init__(self, path):
        super().__init__(path, "metrics")

    def write(self, text=""):
        super().write(f"[plugins.metrics]\n{text}\n")


@pytest.fixture
def site(tmp_path):
    return Site(tmp_path / "evframe.toml")


async def test_the_process_is_ready_unless_a_required_subscriber_fails_for_long():
    """Failures of a subscriber with `required` count after the time of the option, and those of others do not."""

    def away(_):
        raise evframe.Unavailable("refused")

    memory, clock = MemoryTransport(), FakeClock()
    metrics = Metrics(Options(bind="127.0.0.1:0", required_failing_s=20), clock=clock)
    config = parse_config("[core]\ndrain_timeout_s = 0.1")
    events = evframe.EventInterface(config, plugins={"memory": memory, "metrics": metrics})
    events.register_event("E_A")
    memory.when("a", away)
    memory.when("b", away)
    events.subscribe_event("E_A", "memory:a", policy=Policy(required=True))
    events.subscribe_event("E_A", "memory:b")
    async with events:
        assert await get(metrics, "/livez") == (200, "alive\n")
        assert await get(metrics, "/readyz") == (200, "ready\n")
        events.raise_event("E_A")
        await until(lambda: all(each.away for each in events.statistics[:2]))
        clock.advance(20)
        assert (await get(metrics, "/readyz"))[0] == 200
        clock.advance(5)
        assert await get(metrics, "/readyz") == (503, "deliveries to memory:a have failed for 25 s: refused\n")
        assert "evframe_ready 0\n" in (await get(metrics, "/metrics"))[1]
        assert (await get(metrics, "/livez"))[0] == 200
        memory.when("a", None)
        await until(lambda: events.statistics[0].delivered)
        assert await get(metrics, "/readyz") == (200, "ready\n")
        memory.when("a", away)
        events.raise_event("E_A")
        await until(lambda: events.statistics[0].away)
        clock.advance(30)
        assert (await get(metrics, "/readyz"))[0] == 503
        events.unsubscribe_event("E_A", "memory:a")
        memory.when("a", None)
        await until(lambda: "a" in memory.released)
        assert (await get(metrics, "/readyz"))[0] == 200


async def test_the_process_is_not_ready_while_a_required_status_is_negative():
    """A status that is negative counts after the time of the option, one that has never been positive at once."""
    clock = FakeClock()
    options = Options(bind="127.0.0.1:0", required_failing_s=20, required_status=["Part/Link", "none/none"])
    metrics = Metrics(options, clock=clock)
    events = evframe.EventInterface(plugins={"metrics": metrics})
    group = events.status.group("part")
    group.add("link", status=-1, details="connecting")
    group.add("other", status=-1)
    async with events:
        assert await get(metrics, "/readyz") == (503, "part/link is not ready: connecting\n")
        group.set_status(1, "connected", "link")
        assert await get(metrics, "/readyz") == (200, "ready\n")
        group.set_status(-1, "refused", "link")
        clock.advance(20)
        assert await get(metrics, "/readyz") == (200, "ready\n")
        group.set_status(-2, None, "link")
        clock.advance(5)
        assert await get(metrics, "/readyz") == (503, "part/link is not ready: -2\n")
        group.remove("link")
        assert await get(metrics, "/readyz") == (200, "ready\n")


async def test_a_reload_changes_which_status_is_required(site):
    """Another list counts from the reload on."""
    async with site.interface('bind = "127.0.0.1:0"\nrequired_status = []') as events:
        metrics = events.plugin("metrics")
        events.status.group("part").add("link", status=-1, details="refused")
        assert (await get(metrics, "/readyz"))[0] == 200
        site.write('bind = "127.0.0.1:0"\nrequired_status = ["part/link"]')
        events.reload()
        assert await get(metrics, "/readyz") == (503, "part/link is not ready: refused\n")


async def test_other_requests_get_an_answer():
    """Other paths are 404, other methods 405, and what is no HTTP a 400 and a line of the log."""
    metrics = Metrics(Options(bind="127.0.0.1:0"))
    async with evframe.EventInterface(plugins={"metrics": metrics}):
        assert (await get(metrics, "/"))[0] == 404
        url = f"http://127.0.0.1:{metrics.address[1]}/metrics"
        async with aiohttp.ClientSession() as client:
            async with client.post(url) as response:
                assert (response.status, response.headers["Allow"]) == (405, "GET, HEAD")
            async with client.head(url) as response:
                assert response.status == 200
                assert int(response.headers["Content-Length"]) > 100
        async with connection_to(metrics.address) as (reader, writer):
            writer.write(b"nonsense\r\n\r\n")
            assert (await reader.readline()).startswith(b"HTTP/1.0 400")


async def test_a_page_that_comes_by_a_name_gets_no_metrics():
    """The Host of a request must be an address or localhost; the state of the process is no secret."""
    metrics = Metrics(Options(bind="127.0.0.1:0"))
    async with evframe.EventInterface(plugins={"metrics": metrics}):
        assert (await get(metrics, "/metrics", Host="evil.example"))[0] == 403
        assert (await get(metrics, "/livez", Host="pod.example"))[0] == 200


async def test_a_token_is_asked_for(tmp_path):
    """With `token_file`, the metrics need the token; a client may come by any name then."""
    token = tmp_path / "token"
    token.write_text("right\n")
    token.chmod(0o600)
    metrics = Metrics(Options(bind="0.0.0.0:0", token_file=str(token)))
    async with evframe.EventInterface(plugins={"metrics": metrics}):
        assert (await get(metrics, "/metrics"))[0] == 401
        assert (await get(metrics, "/metrics", Authorization="Bearer wrong"))[0] == 401
        assert (await get(metrics, "/metrics", Authorization="Basic right"))[0] == 401
        assert (await get(metrics, "/metrics", Authorization="Bearer right", Host="gateway.example"))[0] == 200
        assert (await get(metrics, "/readyz"))[0] == 200


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"bind": "10.0.0.1:9464"}, "bind: expected a loopback address where there is no token_file"),
        ({"bind": "unix:/tmp/metrics"}, "bind: expected host:port"),
        ({"bind": "9464"}, "bind: "),
        ({"max_series": -1}, "max_series: "),
        ({"required_failing_s": -1}, "required_failing_s: "),
        ({"required_status": ["fleet"]}, "required_status: expected group/identifier, got 'fleet'"),
        ({"token_file": "/does/not/exist"}, "token_file: "),
    ],
)
def test_options_that_cannot_be_used_are_refused(options, problem):
    """The sentence begins with the option."""
    with pytest.raises(ValueError, match=f"^{problem}"):
        Options(**options)


async def test_an_address_in_use_is_an_error_of_the_start(site):
    """The error names the option."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        events = site.interface(f'bind = "127.0.0.1:{other.getsockname()[1]}"')
        with pytest.raises(OSError, match=r"plugins\.metrics\.bind: '127\.0\.0\.1:\d+': Address already in use"):
            async with events:
                pass


async def test_nothing_is_opened_without_the_table(tmp_path):
    """A plugin that is merely installed opens nothing, in a gateway neither."""
    config = ConfigFile(tmp_path / "evframe.toml", "metrics")
    config.write()
    for gateway in (False, True):
        async with evframe.EventInterface.from_toml(config.path, gateway=gateway) as events:
            assert events.plugin("metrics").address is None
            assert events.plugin("metrics").statistics() == []


async def test_a_reload_moves_the_address_and_is_counted(site):
    """Another address is bound, the one before is closed, and the numbers stay."""
    async with site.interface('bind = "127.0.0.1:0"') as events:
        metrics = events.plugin("metrics")
        first = metrics.address
        await until_answered(metrics)
        with socket.create_server(("127.0.0.1", 0)) as other:
            port = other.getsockname()[1]
        site.write(f'bind = "127.0.0.1:{port}"\ndetail = true')
        events.reload()
        assert metrics.address == ("127.0.0.1", port)
        await until_answered(metrics)
        assert "evframe_reload_generation 1\n" in (await get(metrics, "/metrics"))[1]
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(*first)
        site.write(f'bind = "127.0.0.1:{port}"\ndetail = false')
        events.reload()
        assert metrics.address == ("127.0.0.1", port)
        assert "evframe_reload_generation 2\n" in (await get(metrics, "/metrics"))[1]


async def test_a_reload_that_is_refused_changes_nothing(site):
    """With an address in use, or another plugin's problem, the one before stays and answers."""
    async with site.interface('bind = "127.0.0.1:0"') as events:
        metrics = events.plugin("metrics")
        before = metrics.address
        await until_answered(metrics)
        with socket.create_server(("127.0.0.1", 0)) as other:
            site.write(f'bind = "127.0.0.1:{other.getsockname()[1]}"')
            with pytest.raises(evframe.ConfigError, match=r"plugins\.metrics\.bind"):
                events.reload()
        take_back = metrics.reconfigure(Options(bind="127.0.0.2:0", detail=True))
        assert metrics.address != before
        take_back()
        await asyncio.sleep(0)
        assert metrics.address == before
        shown = (await get(metrics, "/metrics"))[1]
        assert "evframe_reload_generation 0\n" in shown
        assert "evframe_last_reload_successful 0\n" in shown
        assert "evframe_reloads_refused_total 1\n" in shown
        site.write('bind = "127.0.0.1:0"')
        events.reload()
        shown = (await get(metrics, "/metrics"))[1]
        assert "evframe_last_reload_successful 1\n" in shown
        assert "evframe_reloads_refused_total 1\n" in shown


async def until_answered(metrics):
    """Wait until the server has its library; connections wait until then."""
    assert (await get(metrics, "/livez"))[0] == 200


async def test_the_process_is_not_ready_while_it_ends():
    """While what waits is delivered at the end, `/readyz` is 503, so that nothing new is sent here."""
    ends = asyncio.Event()

    async def waits(_):
        await ends.wait()

    memory, metrics = MemoryTransport(), Metrics(Options(bind="127.0.0.1:0"))
    memory.when("a", waits)
    events = evframe.EventInterface(plugins={"memory": memory, "metrics": metrics})
    events.register_event("E_A")
    events.subscribe_event("E_A", "memory:a")
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(events)
        events.raise_event("E_A")
        await until_answered(metrics)
        ending = asyncio.create_task(stack.aclose())
        await until(lambda: not events.is_running)
        assert await get(metrics, "/readyz") == (503, "the interface does not run\n")
        ends.set()
        await ending


async def test_a_client_that_reads_nothing_is_left(monkeypatch, caplog):
    """It has its connection closed after a time, without a traceback, and others get answers meanwhile."""
    metrics = Metrics(Options(bind="127.0.0.1:0"))

    async def much(*, is_open):
        return [bytes(1 << 20)] * 64

    metrics._scrape = much
    async with evframe.EventInterface(plugins={"metrics": metrics}):
        await until_answered(metrics)
        monkeypatch.setattr(library, "SEND_S", 0.2)
        with socket.create_connection(metrics.address) as client:
            client.sendall(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
            client.setblocking(False)
            await until_answered(metrics)
            await until(lambda: "a client was too slow" in caplog.text)
    assert [record.levelname for record in caplog.records if record.exc_info] == []
