"""The plugin, with real peers on the loopback address."""

import pytest
from evframe_load_balancer import DestinationOptions, LoadBalancer, NotAvailable, Options
from evframe_probing import Reply
from evframe_probing.prober import ProbeOptions
from evframe_probing.testing import SipPeer

import evframe
from evframe import ConfigError
from evframe.plugins.commands import CommandError
from evframe.testing import FakeClock, Recorder, SourceContract, until

STATUS = "E_LOAD_BALANCER_STATUS"


def entry(number=1, uri="sip:10.0.0.1", **options):
    return DestinationOptions(**{"id": number, "group": 1, "uri": uri, "resources": {"calls": 2}, **options})


def balancer(*entries, clock=None, **options):
    given = Options(destinations=list(entries or (entry(), entry(2, "sip:10.0.0.2"))), **options)
    return LoadBalancer(given) if clock is None else LoadBalancer(given, clock=clock)


def event(status, uri="sip:10.0.0.1"):
    return (STATUS, {"group": 1, "uri": uri, "status": status})


class TestContract(SourceContract):
    """What every source does."""

    name = "load-balancer"

    def source(self):
        return balancer()

    async def provoke(self, recorder):
        plugin = recorder.plugin("load-balancer")
        plugin.disable(plugin.find(1))


async def test_each_change_of_use_is_raised_once():
    """A destination that is disabled already raises no event, whatever disables it again."""
    async with Recorder({"load-balancer": balancer()}) as recorder:
        plugin = recorder.plugin("load-balancer")
        found = plugin.find(1)
        plugin.take_reply(found, Reply(503, good=False))
        plugin.take_reply(found, Reply(408, good=False))
        plugin.disable(found)
        plugin.set_status(found, enabled=False)
        plugin.take_reply(found, Reply(200, good=True))
        plugin.set_status(found, enabled=True)
        assert await recorder.events() == [event("disabled"), event("enabled")]
        reports = recorder.interface.status.find("load_balancer").find("main").reports
        assert [report.text for report in reports] == [
            "destination 1 sip:10.0.0.1 is disabled: probe, 503",
            "destination 1 sip:10.0.0.1 is enabled: command",
        ]


async def test_sessions():
    """They spread by what is free, count while they last, and a disabled destination gets none."""
    async with Recorder({"load-balancer": balancer()}) as recorder:
        plugin = recorder.plugin("load-balancer")
        with plugin.start_session(1, ["calls"]) as first, plugin.start_session(1, ["calls"]) as second:
            assert [first.destination.id, second.destination.id] == [1, 2]
            assert [each.load for each in plugin.destinations] == [{"calls": 1}, {"calls": 1}]
            assert second.next(disable=True).id == 1
            assert await recorder.events() == [event("disabled", "sip:10.0.0.2")]
            with pytest.raises(NotAvailable) as caught:
                plugin.start_session(1, ["calls"])
            assert caught.value.reason == "no_capacity"
        assert [each.load for each in plugin.destinations] == [{"calls": 0}, {"calls": 0}]


async def test_the_listing_knows_of_sessions_that_are_over():
    """What has expired is not listed as load."""
    clock = FakeClock()
    plugin = balancer(clock=clock)
    plugin.start_session(1, ["calls"], expire_s=5)
    assert plugin.destinations[0].load == {"calls": 1}
    clock.advance(6)
    assert plugin.destinations[0].load == {"calls": 0}


class TestProbing:
    """Real probes."""

    def options(self, *entries, **options):
        probe = ProbeOptions(timeout_s=0.2)
        return Options(**{"destinations": list(entries), "probing_interval_s": 0.05, "probe": probe, **options})

    async def test_one_negative_reply_disables_and_a_good_one_enables(self):
        """There is no count of failures."""
        async with SipPeer(500) as peer:
            uri = f"sip:127.0.0.1:{peer.port}"
            plugin = LoadBalancer(self.options(entry(uri=uri, probe_mode=2)))
            async with Recorder({"load-balancer": plugin}) as recorder:
                assert await recorder.wait_for(1) == [event("disabled", uri)]
                peer.code = 200
                assert await recorder.wait_for(1) == [event("enabled", uri)]

    async def test_no_answer_counts_as_408(self):
        """A peer that is silent is disabled."""
        async with SipPeer(None) as peer:
            uri = f"sip:127.0.0.1:{peer.port}"
            async with Recorder(
                {"load-balancer": LoadBalancer(self.options(entry(uri=uri, probe_mode=2)))}
            ) as recorder:
                assert await recorder.wait_for(1) == [event("disabled", uri)]

    async def test_who_is_probed(self):
        """By its mode never, while it is disabled, or always; never one that was disabled by command."""
        async with SipPeer(302) as peer:

            def of_mode(number, name, mode):
                return entry(number, f"sip:{name}@127.0.0.1:{peer.port}", probe_mode=mode)

            given = [of_mode(1, "never", 0), of_mode(2, "down", 1), of_mode(3, "up", 1), of_mode(4, "always", 2)]
            given.append(of_mode(5, "held", 2))
            plugin = LoadBalancer(self.options(*given, probing_method="INFO", probing_from="sip:me@here"))
            for number in (1, 2):
                plugin.disable(plugin.find(number))
            plugin.set_status(plugin.find(5), enabled=False)
            async with Recorder({"load-balancer": plugin}):
                await until(lambda: len(peer.received) >= 6)
            assert {request.uri[4:].partition("@")[0] for request in peer.received} == {"down", "always"}
            assert {request.method for request in peer.received} == {"INFO"}
            assert peer.received[0].fields["from"].startswith("<sip:me@here>")

    async def test_listed_codes_are_good(self):
        """They enable like 200, though they are above 400."""
        async with SipPeer(404) as peer:
            uri = f"sip:127.0.0.1:{peer.port}"
            plugin = LoadBalancer(self.options(entry(uri=uri, probe_mode=1), probing_reply_codes="404"))
            plugin.disable(plugin.find(1))
            async with Recorder({"load-balancer": plugin}) as recorder:
                assert await recorder.wait_for(1) == [event("enabled", uri)]

    async def test_a_reload_while_a_probe_is_under_way(self):
        """Its reply counts for the destination as it is after the reload."""
        async with SipPeer(None) as peer:
            uri = f"sip:127.0.0.1:{peer.port}"
            options = self.options(entry(uri=uri, probe_mode=2), probe=ProbeOptions(timeout_s=60.0))
            plugin = LoadBalancer(options)
            async with Recorder({"load-balancer": plugin}) as recorder:
                await until(lambda: peer.received)
                plugin.reload()
                peer.send(peer.received[0].response(500), peer.received[0].peer)
                assert await recorder.wait_for(1) == [event("disabled", uri)]
                assert not plugin.find(1).enabled


class TestReload:
    """Reading the destinations again."""

    FILE = '[[destinations]]\nid = {}\ngroup = 1\nuri = "{}"\nresources = {{ calls = {} }}\n'

    async def test_states_and_sessions_stay(self, tmp_path):
        """With the same id, group and URI; the capacity is the new one; nothing is raised."""
        path = tmp_path / "f.toml"
        path.write_text(self.FILE.format(1, "sip:a", 2) + self.FILE.format(2, "sip:b", 1))
        async with Recorder({"load-balancer": LoadBalancer(Options(file=str(path)))}) as recorder:
            plugin = recorder.plugin("load-balancer")
            session = plugin.start_session(1, ["calls"])
            for number in (1, 2):
                plugin.set_status(plugin.find(number), enabled=False)
            await recorder.events()
            path.write_text(self.FILE.format(1, "sip:a", 5) + self.FILE.format(2, "sip:c", 1))
            assert recorder.command("lb_reload") == "OK"
            first, second = plugin.destinations
            assert (first.enabled, first.held, first.load, first.capacity) == (False, True, {"calls": 1}, {"calls": 5})
            assert (second.enabled, second.held) == (True, False)
            session.release()
            assert first.load == {"calls": 0}
            assert await recorder.events() == []

    async def test_a_reload_that_fails_changes_nothing(self, tmp_path):
        """Every problem is in the answer, and the old destinations stay in use."""
        path = tmp_path / "f.toml"
        path.write_text(self.FILE.format(1, "sip:a", 2))
        async with Recorder({"load-balancer": LoadBalancer(Options(file=str(path)))}) as recorder:
            plugin = recorder.plugin("load-balancer")
            before = plugin.destinations
            for text in ("[[", self.FILE.format(1, "x", 1), self.FILE.format(1, "sip:b", 1) * 2):
                path.write_text(text)
                with pytest.raises(CommandError) as caught:
                    recorder.command("load_balancer:reload")
                assert caught.value.code == 500
                assert caught.value.data
                assert plugin.destinations == before
            main = recorder.interface.status.find("load_balancer").find("main")
            assert (main.status, main.details) == (1, "data available")
            path.write_text("")
            recorder.command("load_balancer:reload")
            assert (main.status, main.details) == (-2, "no data loaded")

    async def test_a_session_of_a_destination_that_has_gone(self, tmp_path):
        """Its release, and its word about the destination, concern no other session."""
        path = tmp_path / "f.toml"
        path.write_text(self.FILE.format(1, "sip:a", 2))
        async with Recorder({"load-balancer": LoadBalancer(Options(file=str(path)))}) as recorder:
            plugin = recorder.plugin("load-balancer")
            session = plugin.start_session(1, ["calls"])
            path.write_text(self.FILE.format(1, "sip:b", 2))
            plugin.reload()
            plugin.disable(session.destination)
            session.release()
            (other,) = plugin.destinations
            assert (other.enabled, other.load) == (True, {})
            assert await recorder.events() == []


class TestCommands:
    """The management commands."""

    async def test_status(self):
        """It shows the state, disables so that no probe enables, and enables."""
        async with Recorder({"load-balancer": balancer()}) as recorder:
            assert recorder.command("lb_status", destination_id=1) == {"enable": "yes"}
            assert recorder.command("load_balancer:status", destination_id="1", new_status=0) == "OK"
            assert recorder.command("lb_status", destination_id=1) == {"enable": "no"}
            plugin = recorder.plugin("load-balancer")
            plugin.take_reply(plugin.find(1), Reply(200, good=True))
            assert not plugin.find(1).enabled
            assert recorder.command("lb_status", destination_id=1, new_status="1") == "OK"
            assert await recorder.events() == [event("disabled"), event("enabled")]

    async def test_list_and_resize(self):
        """The shape of the original's listing."""
        plugin = balancer(entry(resources={"calls": 2, "conf": 1}, attrs="x=1"))
        async with Recorder({"load-balancer": plugin}) as recorder:
            assert recorder.command("lb_resize", destination_id=1, res_name="conf", new_capacity=7) == "OK"
            plugin.start_session(1, ["calls"])
            recorder.command("lb_status", destination_id=1, new_status=0)
            assert recorder.command("lb_list") == {
                "Destinations": [
                    {
                        "uri": "sip:10.0.0.1",
                        "id": 1,
                        "group": 1,
                        "enabled": "no",
                        "auto-reenable": "off",
                        "Resources": [
                            {"name": "calls", "max": 2, "load": 1},
                            {"name": "conf", "max": 7, "load": 0},
                        ],
                        "attrs": "x=1",
                    }
                ]
            }

    @pytest.mark.parametrize(
        ("method", "params", "code"),
        [
            ("lb_status", {"destination_id": 9}, 404),
            ("lb_status", {"destination_id": "x"}, -32602),
            ("lb_status", {"destination_id": 1, "new_status": 2}, -32602),
            ("lb_resize", {"destination_id": 9, "res_name": "calls", "new_capacity": 1}, 404),
            ("lb_resize", {"destination_id": 1, "res_name": "x", "new_capacity": 1}, 404),
            ("lb_resize", {"destination_id": 1, "res_name": "calls", "new_capacity": -1}, -32602),
        ],
    )
    async def test_mistakes(self, method, params, code):
        """Each mistake has its answer."""
        async with Recorder({"load-balancer": balancer()}) as recorder:
            with pytest.raises(CommandError) as caught:
                recorder.command(method, **params)
            assert caught.value.code == code


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("probing_interval_s = -1", "probing_interval_s: expected 0 or more"),
        ('probing_method = "ACK"', "probing_method: expected a method"),
        ('destinations = [{ id = 1, group = 1, uri = "sip:a" }]', "resources"),
        ('destinations = [{ id = 1, group = 1, uri = "sip:a", resources = {} }]', "resources: expected at least one"),
        ('destinations = [{ id = 1, group = 1, uri = "sip:a", resources = { a = -1 } }]', "resources: expected"),
        ('destinations = [{ id = 1, group = 1, uri = "sip:a", resources = { a = 1 }, probe_mode = 3 }]', "probe_mode"),
        ('file = "/no/such/file"', "file: '/no/such/file'"),
    ],
)
def test_options(line, problem):
    """Each problem of the configuration has one sentence with the name of the option."""
    with pytest.raises(ConfigError) as caught:
        evframe.EventInterface(evframe.config.parse_config(f"[plugins.load-balancer]\n{line}\n"))
    (found,) = caught.value.problems
    assert found.startswith("plugins.load-balancer")
    assert problem in found
