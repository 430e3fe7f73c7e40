"""The sockets of webhooks, the targets that they fit, and the addresses that run-time clients may have events sent to."""

import asyncio
import ipaddress

import pytest
from aiohttp import web
from evframe_http.public import is_permitted
from evframe_mi import ManagementOptions
from evframe_mi.policy import Policy
from evframe_webhook import Options, TargetOptions, WebhookTransport, parse
from hypothesis import given
from hypothesis import strategies as st
from networks import made, subscribe
from webhook_server import Server

import evframe
from evframe.exceptions import ForbiddenError
from evframe.testing import ConfigFile, FakeNames, until

WEB = ManagementOptions(schemes=["http", "https", "virtual"])


@pytest.mark.parametrize(
    ("scheme", "rest", "canonical"),
    [
        ("https", "//hooks.example", "https://hooks.example:443/"),
        ("http", "//Hooks.Example/a/B", "http://hooks.example:80/a/B"),
        ("http", "//127.0.0.1:8080?a=1", "http://127.0.0.1:8080/?a=1"),
        ("https", "//[::1]/a", "https://[::1]:443/a"),
        ("https", "//[::1]:8443/a?b=c", "https://[::1]:8443/a?b=c"),
        ("https", "//b\u00fccher.example/", "https://xn--bcher-kva.example:443/"),
    ],
)
def test_accepted(scheme, rest, canonical):
    """The canonical text has the port and a path, and is the same subscriber."""
    found = parse(scheme, rest)
    assert found.canonical == found.url == canonical
    assert parse(scheme, canonical.partition(":")[2]) == found


@pytest.mark.parametrize(
    "rest",
    [
        "",
        "/",
        "//",
        "//:80/",
        "//a:b@h/",
        "//u@h/",
        "//h:x/",
        "//h:0/",
        "//h/#f",
        "//h/ ",
        "//h/\u00e9",
        "//::1/",
        "//h\\x/",
    ],
)
def test_refused(rest):
    """Each of these is one clear error."""
    with pytest.raises(ValueError, match="expected"):
        parse("https", rest)


@given(st.text(alphabet="/:@[]?#%.*-aé1 \\\0\ud800", max_size=20))
def test_any_text_is_a_socket_or_one_error(text):
    """A text that is accepted has a canonical text that is the same socket."""
    for rest in (text, f"//{text}", f"//h/{text}"):
        try:
            found = parse("http", rest)
        except ValueError as error:
            assert "expected" in str(error)
        else:
            assert parse("http", found.url.partition(":")[2]) == found
            assert found.url.isascii()


@pytest.mark.parametrize(
    "url",
    [
        "https://u:s3cret@h/a",
        "https://u:s3cret/x@h/a",
        "https://u:x/s3cret@h/a",
        "https://s3cret@h/a",
        "https://h:x/T0/xoxb9f8a7T0K3Nqqs3cret",
    ],
)
def test_an_error_has_no_secrets(url):
    """The user, and what looks like a secret in the path, are in no text of the error."""
    events = evframe.EventInterface(plugins={"webhook": WebhookTransport()})
    events.register_event("E_TEST")
    with pytest.raises(evframe.SocketError) as caught:
        events.subscribe_event("E_TEST", url)
    assert "s3cret" not in f"{caught.value} {caught.value.socket} {caught.value.problem}"


async def test_secrets_in_paths_are_masked():
    """A listing shows a mark, which stands for the same subscriber, and the request has the path itself."""
    secret = "xoxb9f8a7T0K3Nqq"
    async with Server() as server:
        events = evframe.EventInterface(plugins={"webhook": WebhookTransport()})
        events.register_event("E_TEST")
        async with events:
            lease = events.subscribe_event("E_TEST", f"http://127.0.0.1:{server.port}/services/{secret}?token={secret}")
            canonical = lease.subscriber.socket.canonical
            assert secret not in f"{canonical} {lease.subscriber.socket!r}"
            assert events.subscribe_event("E_TEST", canonical) is lease
            assert (await events.raise_event_and_wait("E_TEST"))[0].delivered
    assert server.requests[0][0].path_qs == f"/services/{secret}?token={secret}"


@pytest.mark.parametrize(
    "options",
    [
        {"url": "hooks.example"},
        {"url": "https://u@h/"},
        {"url": "*", "secret": ""},
        {"url": "*", "secret": "plain text"},
        {"url": "*", "previous_secret": "whsec_c2hvcnQ="},
        {"url": "*", "headers": {"webhook-id": "1"}},
        {"url": "*", "headers": {"A": "b\r\nC: d"}},
        {"url": "*", "headers": {"A b": "c"}},
        {"url": "*", "timeout_ms": 0},
        {"url": "*", "max_in_flight": 0},
        {"url": "*", "origin": "a b"},
    ],
)
def test_bad_targets(options):
    """A value that does not fit is an error that names the option, and shows no secret."""
    with pytest.raises(ValueError, match=f"{list(options)[-1]}: expected") as caught:
        TargetOptions(**options)
    assert "plain text" not in str(caught.value)


def test_permitted_networks():
    """The option permits private networks."""
    assert is_permitted("10.1.2.3", (ipaddress.ip_network("10.0.0.0/8"),))
    assert not is_permitted("10.1.2.3", (ipaddress.ip_network("10.2.0.0/16"),))


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.1", "2130706433", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0", "169.254.169.254"]
)
async def test_clients_subscribe_no_private_address(host):
    """A numeric host that is not public is one of the configuration alone; of a group, too."""
    events = made(general=WEB, plugins={"webhook": WebhookTransport()})
    async with events:
        assert subscribe(events, "mi", "E_A", f"http://{host}:1/", 60) == 400
        assert subscribe(events, "mi", "E_A", "http://192.0.43.8:1/", 60) == "OK"
        events.subscribe_event("E_B", f"http://{host}:1/")
        assert subscribe(events, "mi", "E_A", f"http://{host}:1/", 60) == 400
        assert events.plugin("mi").policies.refused == {"reserved": 2}


@pytest.mark.parametrize(
    ("url", "is_for_clients"),
    [
        ("*", False),
        ("https://*", False),
        ("https://*:*/*", False),
        ("https://*.example/*", False),
        ("https://hooks.example/*", True),
        ("https://hooks.example:*/*", True),
    ],
)
def test_clients_get_the_headers_of_no_other_host(url, is_for_clients):
    """Headers, which may have a token, go to a host of a client's choice only where the target names it."""
    policy = Policy("test", WEB)
    headers = {"Authorization": "Bearer s3cret"}
    targets = [TargetOptions("https://named.example/*"), TargetOptions(url, headers=headers)]
    transport = WebhookTransport(Options(targets=targets))
    socket = transport.on_subscribe("https", "//hooks.example/")
    if is_for_clients:
        policy.check_socket(socket)
    else:
        with pytest.raises(ForbiddenError, match="headers for any host"):
            policy.check_socket(socket)
    policy.check_socket(transport.on_subscribe("https", "//named.example/"))
    plain = WebhookTransport(Options(targets=[TargetOptions(url, timeout_ms=7)]))
    policy.check_socket(plain.on_subscribe("https", "//hooks.example/"))


async def test_the_scheme_is_opt_in():
    """Without the schemes in the policy, clients subscribe no webhook."""
    events = made(plugins={"webhook": WebhookTransport()})
    async with events:
        assert subscribe(events, "mi", "E_A", "https://192.0.43.8/", 60) == 400
        assert events.plugin("mi").policies.refused == {"schemes": 1}


async def test_names_lead_clients_to_no_private_address():
    """A name that has, or later gets, a private address is not connected to, unless the configuration subscribes it."""
    async with Server() as server:
        events = made(general=WEB, plugins={"webhook": WebhookTransport()})
        with FakeNames({"rebinds.example": ["127.0.0.1"]}) as names:
            events.resolver.lookup = names
            async with events:
                socket = f"http://rebinds.example:{server.port}/"
                assert subscribe(events, "mi", "E_A", socket, 60) == "OK"
                lease = events.event("E_A").targets[0]
                events.raise_event("E_A", {"n": 1})
                await until(lambda: lease.away)
                assert lease.away == "forbidden"
                assert server.requests == []
                events.subscribe_event("E_B", socket)
                await until(lambda: len(server.requests) == 1)


async def test_a_reload_permits_no_private_address(tmp_path):
    """The rules hold for the transport that a reload puts in the place of another one, and for the leases from before."""
    text = '[management]\nschemes = ["http"]\n[plugins.webhook]\n'
    async with Server() as server:
        file = ConfigFile(tmp_path / "evframe.toml", "webhook", "mi")
        with FakeNames({"private.example": ["127.0.0.1"]}) as names:
            async with file.interface(text) as events:
                events.resolver.lookup = names
                events.register_event("E_A")
                assert subscribe(events, "mi", "E_A", f"http://private.example:{server.port}/", 60) == "OK"
                (subscriber,) = events.event("E_A").targets
                file.write(text + "timeout_ms = 1234\n")
                assert events.reload().plugins
                events.raise_event("E_A", {"n": 1})
                await until(lambda: subscriber.away)
                assert subscriber.away == "forbidden"
                file.write(text + 'client_networks = ["127.0.0.0/8"]\n')
                assert events.reload().plugins
                await until(lambda: len(server.requests) == 1)


async def test_the_option_permits_private_addresses():
    """Clients have events sent to the networks of `client_networks`."""
    async with Server() as server:
        plugin = WebhookTransport(Options(client_networks=["127.0.0.0/8"]))
        events = made(general=WEB, plugins={"webhook": plugin})
        with FakeNames({"local.example": ["127.0.0.1", "10.0.0.1"]}) as names:
            events.resolver.lookup = names
            async with events:
                for host in ("127.0.0.1", "local.example"):
                    assert subscribe(events, "mi", "E_A", f"http://{host}:{server.port}/", 60) == "OK"
                report = await events.raise_event_and_wait("E_A", {"n": 1})
    assert [outcome.reason for outcome in report] == [None, None]


async def test_connections_go_to_the_addresses_that_were_checked():
    """The name is looked up once: what another lookup would answer is not asked for, and a new address is followed."""
    async with Server() as server:
        events = evframe.EventInterface(plugins={"webhook": WebhookTransport()})
        events.register_event("E_TEST")
        with FakeNames({"hooks.invalid": ["127.0.0.1"]}) as names:
            events.resolver.lookup = names
            async with events:
                lease = events.subscribe_event("E_TEST", f"http://hooks.invalid:{server.port}/")
                assert (await events.raise_event_and_wait("E_TEST", [1]))[0].delivered
                assert names.asked == ["hooks.invalid"]
                names["hooks.invalid"] = ["127.0.0.3"]  # where nothing listens
                events.resolver._names["hooks.invalid"].answered_at = -10.0
                events.resolver.refresh_all()
                await until(lambda: events.resolver.answer("hooks.invalid", 1)[0].ip == "127.0.0.3")
                events.raise_event("E_TEST", [2])
                await until(lambda: lease.subscriber.away)
                assert lease.subscriber.away == "refused"
                assert len(server.requests) == 1
                names["hooks.invalid"] = ["127.0.0.1"]
                await until(lambda: len(server.requests) == 2)


async def test_a_group_hands_over_what_a_gone_member_refuses():
    """A member that answers 410 has no lease: it is away, and another member gets its events."""
    from evframe_virtual import VirtualTransport

    async with Server(lambda request, body: web.Response(status=410)) as gone, Server() as server:
        events = evframe.EventInterface(plugins={"webhook": WebhookTransport(), "virtual": VirtualTransport()})
        events.register_event("E_TEST")
        async with events:
            members = f"http://127.0.0.1:{gone.port}/ http://127.0.0.1:{server.port}/"
            events.subscribe_event("E_TEST", f"virtual:FAILOVER {members}")
            reports = await asyncio.gather(*(events.raise_event_and_wait("E_TEST", [n]) for n in range(5)))
    assert [report[0].reason for report in reports] == [None] * 5
    assert len(server.requests) == 5
