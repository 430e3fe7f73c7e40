"""The plugin, with real peers on the loopback address."""

import asyncio
import json
import socket
import threading

import pytest
from evframe_dispatcher import DestinationOptions, Dispatcher, Options
from evframe_probing.prober import ProbeOptions, Reply
from evframe_probing.testing import SipPeer
from stream_servers import StreamServer

import evframe
from evframe import ConfigError
from evframe.plugins.commands import CommandError
from evframe.testing import Recorder, SourceContract, until

STATUS = "E_DISPATCHER_STATUS"
URIS = ["sip:10.0.0.1", "tcp://10.0.0.2:80", "http://10.0.0.3/"]


def entries(*uris, **options):
    return [DestinationOptions(**{"set": 1, **options}, uri=uri) for uri in uris]


def dispatcher(*uris, **options):
    return Dispatcher(Options(destinations=entries(*(uris or URIS)), **options))


def event(status, reason, uri="sip:10.0.0.1", **more):
    return (STATUS, {**more, "group": 1, "address": uri, "status": status, "reason": reason})


class TestContract(SourceContract):
    """What every source does."""

    name = "dispatcher"

    def source(self):
        return dispatcher()

    async def provoke(self, recorder):
        plugin = recorder.plugin("dispatcher")
        plugin.mark(plugin.select(1), "i")


class TestMarks:
    """Somebody's word about a destination."""

    async def test_each_change_of_use_is_raised_once(self):
        """Only what takes a destination out of use, or brings it back, is an event."""
        async with Recorder({"dispatcher": dispatcher()}) as recorder:
            plugin = recorder.plugin("dispatcher")
            found = plugin.find(1, URIS[0])
            for state in "iiaappp":
                plugin.mark(found, state)
            mark = "script function ds_mark()"
            assert await recorder.events() == [
                event("inactive", mark),
                event("active", mark),
                event("inactive", mark),
            ]

    async def test_from_probing_to_inactive_nothing_is_raised(self):
        """The destination stays out of use, so that no event says that it is active for a moment."""
        plugin = Dispatcher(Options(destinations=entries(URIS[0], state=2)))
        async with Recorder({"dispatcher": plugin}) as recorder:
            plugin.mark(plugin.find(1, URIS[0]), "i")
            assert await recorder.events() == []
            (report,) = recorder.interface.status.find("dispatcher").find("default;events").reports
            assert report.text == "destination sip:10.0.0.1 of set 1 is inactive: script function ds_mark()"

    async def test_the_partition_is_told_unless_it_is_the_default_one(self):
        """The event of another partition has its name first."""
        plugin = Dispatcher(Options(destinations=entries(URIS[0], partition="pstn")))
        async with Recorder({"dispatcher": plugin}) as recorder:
            plugin.mark(plugin.select(1, partition="pstn"), "i", "a test")
            ((_, params),) = await recorder.events()
            assert next(iter(params.items())) == ("partition", "pstn")

    def test_words(self):
        """A mark is a letter, as in the original a number, or a word."""
        plugin = dispatcher()
        found = plugin.find(1, URIS[0])
        for word, state in [("I", "inactive"), ("1", "active"), ("0", "inactive"), ("active", "active")]:
            plugin.mark(found, word)
            assert found.health.state == state
        with pytest.raises(ValueError, match="state: expected 'a', 'i' or 'p'"):
            plugin.mark(found, "x")

    async def test_other_threads_mark_and_select(self):
        """What threads do at the same time is neither lost nor reported twice."""
        async with Recorder({"dispatcher": dispatcher()}) as recorder:
            plugin = recorder.plugin("dispatcher")

            def work():
                for _ in range(200):
                    found = plugin.select(1)
                    if found is not None:
                        plugin.mark(found, "i")
                        plugin.mark(found, "a")

            threads = [threading.Thread(target=work) for _ in range(4)]
            for thread in threads:
                thread.start()
            await asyncio.get_running_loop().run_in_executor(None, lambda: [thread.join() for thread in threads])
            last = {}
            for _, params in await recorder.events():
                assert params["status"] != last.get(params["address"], "active")
                last[params["address"]] = params["status"]
            assert set(last.values()) == {"active"}


class TestSelection:
    """Which destination."""

    def test_only_active_ones_are_selected(self):
        """One that is marked is passed over; with none left there is no choice."""
        plugin = dispatcher()
        for uri in URIS[:2]:
            plugin.mark(plugin.find(1, uri), "i")
        assert [plugin.select(1).uri for _ in range(2)] == [URIS[2]] * 2
        plugin.mark(plugin.find(1, URIS[2]), "i")
        assert plugin.select(1) is None
        assert plugin.select_all(1) == []

    def test_priorities_order_a_set(self):
        """The highest priority comes first, equal ones stay in the order of the configuration."""
        given = [*entries("sip:a", "sip:b", priority=1), *entries("sip:c", priority=5)]
        plugin = Dispatcher(Options(destinations=given))
        assert [each.uri for each in plugin.select_all(1, algorithm="priority")] == ["sip:c", "sip:a", "sip:b"]

    def test_candidates(self):
        """The next one is one that is active at that moment; choices and failovers are counted."""
        plugin = dispatcher()
        candidates = plugin.candidates(1, algorithm="priority")
        first = next(candidates)
        plugin.mark(plugin.find(1, URIS[1]), "i")
        assert first.uri == URIS[0]
        assert next(candidates).uri == URIS[2]
        assert next(candidates, None) is None
        counts = [(each.chosen, each.failed_over) for each in plugin.partitions["default"][1]]
        assert counts == [(1, 0), (0, 0), (0, 1)]

    def test_a_key_stays_with_its_destination(self):
        """As long as it is active, and again when it is back."""
        plugin = dispatcher()
        first = plugin.select(1, key="alice", algorithm="hash")
        plugin.mark(first, "i")
        assert plugin.select(1, key="alice", algorithm="hash") is not first
        plugin.mark(first, "a")
        assert plugin.select(1, key="alice", algorithm="hash") is first

    def test_what_is_not_there(self):
        """Unknown partitions and sets are errors that name what there is."""
        plugin = dispatcher()
        with pytest.raises(LookupError, match=r"set_id: expected one of \[1\], got 2"):
            plugin.select(2)
        with pytest.raises(LookupError, match=r"partition: expected one of \['default'\], got 'x'"):
            plugin.select(1, partition="x")


class TestReplies:
    """From replies of probes to events."""

    async def test_reasons(self):
        """Each kind of reply has its reason."""
        plugin = dispatcher(ds_probing_mode=1, ds_probing_threshold=1)
        async with Recorder({"dispatcher": plugin}) as recorder:
            found = plugin.find(1, URIS[0])
            for reply in (Reply(503, good=False), Reply(404, good=True), Reply(None, good=False)):
                plugin.take_reply(found, reply)
            assert await recorder.events() == [
                event("inactive", "negative probing reply"),
                event("active", "200 OK probing reply"),
                event("inactive", "failed to send probe"),
            ]

    async def test_what_cannot_be_sent_counts_in_every_mode(self):
        """A destination that is used only is taken out of use by probes that cannot be sent, not by negative ones."""
        plugin = dispatcher(ds_probing_threshold=2)
        found = plugin.find(1, URIS[0])
        for _ in range(5):
            plugin.take_reply(found, Reply(503, good=False))
        assert found.active
        for _ in range(2):
            plugin.take_reply(found, Reply(None, good=False))
        assert found.health.state == "probing"


class TestProbing:
    """Real probes."""

    def options(self, *uris, **options):
        probe = ProbeOptions(timeout_s=0.2)
        return Options(**{"destinations": entries(*uris), "ds_ping_interval_s": 0.05, "probe": probe, **options})

    async def test_a_peer_that_goes_and_comes_back(self):
        """After the threshold it is out of use; one good reply brings it back."""
        async with SipPeer() as peer:
            uri = f"sip:127.0.0.1:{peer.port}"
            plugin = Dispatcher(self.options(uri, ds_probing_mode=1))
            async with Recorder({"dispatcher": plugin}) as recorder:
                await until(lambda: peer.received)
                peer.code = 503
                assert await recorder.wait_for(1) == [event("inactive", "negative probing reply", uri)]
                found = plugin.find(1, uri)
                assert found.health.failures == 3
                seen = len(peer.received)
                await until(lambda: len(peer.received) > seen + 1)
                peer.code = 200
                assert await recorder.wait_for(1) == [event("active", "200 OK probing reply", uri)]
                assert found.latency_s is not None

    async def test_codes_method_and_sender(self):
        """The options of the original say what is asked, and which codes are good."""
        async with SipPeer(404) as peer:
            uri = f"sip:127.0.0.1:{peer.port}"
            options = self.options(
                destinations=entries(uri, state=2),
                options_reply_codes="501,404",
                ds_ping_method="INFO",
                ds_ping_from="sip:me@here",
                ds_ping_maxfwd=0,
                ds_probing_sock="udp:127.0.0.1",
            )
            async with Recorder({"dispatcher": Dispatcher(options)}) as recorder:
                assert await recorder.wait_for(1) == [event("active", "200 OK probing reply", uri)]
            request = peer.received[0]
            assert request.method == "INFO"
            assert request.fields["max-forwards"] == "0"
            assert request.fields["from"].startswith("<sip:me@here>;tag=")

    async def test_who_is_probed(self):
        """Inactive ones never; active ones in mode 1 or by their own mode; only the sets of the list."""
        async with SipPeer() as peer:

            def entry(name, **options):
                (made,) = entries(f"sip:{name}@127.0.0.1:{peer.port}", **options)
                return made

            given = [
                entry("probing", state=2),
                entry("inactive", state=1, probe_mode=1),
                entry("active"),
                entry("always", probe_mode=1),
                entry("elsewhere", set=2, probe_mode=1),
            ]
            plugin = Dispatcher(self.options(destinations=given, ds_probing_list="1,3"))
            async with Recorder({"dispatcher": plugin}):
                await until(lambda: len(peer.received) >= 6)
            assert {request.uri[4:].partition("@")[0] for request in peer.received} == {"probing", "always"}

    async def test_a_hung_destination_delays_no_other(self):
        """While one answers nothing, the others go out of use and come back."""
        async with SipPeer(None) as hung, SipPeer(503) as peer:
            uris = [f"sip:127.0.0.1:{hung.port}", f"sip:127.0.0.1:{peer.port}"]
            options = self.options(*uris, ds_probing_mode=1, probe=ProbeOptions(timeout_s=60.0))
            async with Recorder({"dispatcher": Dispatcher(options)}) as recorder:
                assert await recorder.wait_for(1) == [event("inactive", "negative probing reply", uris[1])]
                peer.code = 200
                assert await recorder.wait_for(1) == [event("active", "200 OK probing reply", uris[1])]

    async def test_http_and_tcp_back_ends(self):
        """A connection that is refused and a page that is missing are failures like any other."""

        async def answer(reader, writer):
            await reader.readline()
            writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")

        with socket.socket() as refusing:
            refusing.bind(("127.0.0.1", 0))
            async with StreamServer(answer) as server:
                uris = [
                    f"http://127.0.0.1:{server.port}/health",
                    f"tcp://127.0.0.1:{refusing.getsockname()[1]}",
                ]
                plugin = Dispatcher(self.options(*uris, ds_probing_mode=1))
                async with Recorder({"dispatcher": plugin}) as recorder:
                    found = await recorder.wait_for(2)
        assert sorted(params["address"] for _, params in found) == sorted(uris)
        assert {params["reason"] for _, params in found} == {"negative probing reply"}

    async def test_a_reload_while_a_probe_is_under_way(self):
        """Its reply counts for the destination as it is after the reload."""
        async with SipPeer(None) as peer:
            uri = f"sip:127.0.0.1:{peer.port}"
            options = self.options(uri, ds_probing_mode=1, ds_probing_threshold=1, probe=ProbeOptions(timeout_s=60.0))
            plugin = Dispatcher(options)
            async with Recorder({"dispatcher": plugin}) as recorder:
                await until(lambda: peer.received)
                plugin.reload()
                peer.send(peer.received[0].response(500), peer.received[0].peer)
                assert await recorder.wait_for(1) == [event("inactive", "negative probing reply", uri)]
                assert not plugin.find(1, uri).active

    async def test_no_interval_no_probe(self):
        """Without an interval nothing is probed."""
        async with SipPeer() as peer:
            plugin = Dispatcher(self.options(f"sip:127.0.0.1:{peer.port}", ds_ping_interval_s=0.0, ds_probing_mode=1))
            async with Recorder({"dispatcher": plugin}):
                await asyncio.sleep(0.05)
            assert peer.received == []


class TestReload:
    """Reading the destinations again."""

    FILE = '[[destinations]]\nset = 1\nuri = "sip:{}"\n'

    @pytest.fixture
    def file(self, tmp_path):
        path = tmp_path / "destinations.toml"
        path.write_text(self.FILE.format("a") + self.FILE.format("b"))
        return path

    async def test_states_are_inherited(self, file):
        """What was there keeps its state; what is new has its own; nothing is raised."""
        async with Recorder({"dispatcher": Dispatcher(Options(file=str(file)))}) as recorder:
            plugin = recorder.plugin("dispatcher")
            plugin.mark(plugin.find(1, "sip:a"), "i")
            await recorder.events()
            file.write_text(self.FILE.format("a") + self.FILE.format("c"))
            assert recorder.command("ds_reload") == "OK"
            assert [(each.uri, each.active) for each in plugin.partitions["default"][1]] == [
                ("sip:a", False),
                ("sip:c", True),
            ]
            assert await recorder.events() == []
            assert recorder.command("dispatcher:reload", inherit_state=0) == "OK"
            assert plugin.find(1, "sip:a").active

    async def test_who_has_a_destination_from_before(self, file):
        """Its word, and the next candidates, are about the destinations as they are now."""
        async with Recorder({"dispatcher": Dispatcher(Options(file=str(file)))}) as recorder:
            plugin = recorder.plugin("dispatcher")
            candidates = plugin.candidates(1, algorithm="priority")
            first = next(candidates)
            file.write_text(self.FILE.format("a") + self.FILE.format("c"))
            plugin.reload()
            assert next(candidates, None) is None
            plugin.mark(first, "i")
            assert not plugin.find(1, "sip:a").active
            file.write_text(self.FILE.format("c"))
            plugin.reload()
            plugin.mark(first, "a")
            plugin.take_reply(first, Reply(200, good=True))
            assert [params["status"] for _, params in await recorder.events()] == ["inactive"]

    async def test_a_reload_that_fails_changes_nothing(self, file):
        """Every problem is in the answer, and the old destinations stay in use."""
        async with Recorder({"dispatcher": Dispatcher(Options(file=str(file)))}) as recorder:
            plugin = recorder.plugin("dispatcher")
            before = plugin.partitions
            for text in ("[[", '[[destinations]]\nset = 1\nuri = "x"\n', self.FILE.format("c") * 2):
                file.write_text(text)
                with pytest.raises(CommandError) as caught:
                    recorder.command("dispatcher:reload")
                assert caught.value.code == 500
                assert caught.value.data
                assert plugin.partitions is before
            assert recorder.interface.status.find("dispatcher").find("default").status == 1

    async def test_one_partition(self, tmp_path):
        """The others stay as they are; one that is not there is an error."""
        path = tmp_path / "f.toml"
        both = self.FILE + 'partition = "p"\n' + self.FILE
        path.write_text(both.format("a", "b"))
        async with Recorder({"dispatcher": Dispatcher(Options(file=str(path)))}) as recorder:
            plugin = recorder.plugin("dispatcher")
            path.write_text(both.format("c", "d"))
            assert recorder.command("dispatcher:reload", partition="p") == "OK"
            assert plugin.find(1, "sip:c", "p")
            assert plugin.find(1, "sip:b")
            with pytest.raises(CommandError) as caught:
                recorder.command("dispatcher:reload", partition="q")
            assert (caught.value.code, caught.value.message) == (404, "Partition not found")

    async def test_the_status_of_a_partition(self, tmp_path):
        """It is reported while destinations are read, and removed with the partition."""
        path = tmp_path / "f.toml"
        path.write_text((self.FILE + 'partition = "p"\n').format("a"))

        seen = []

        class Watch:
            @evframe.hookimpl
            def status_changed(self, change):
                if change.group == "dispatcher":
                    seen.append((change.identifier, change.status, change.details))

        async with Recorder({"dispatcher": Dispatcher(Options(file=str(path))), "watch": Watch()}) as recorder:
            group = recorder.interface.status.find("dispatcher")
            assert [each.name for each in group] == ["p", "p;events"]
            assert group.find("p;events").reports.maxlen == 200
            recorder.command("dispatcher:reload")
            assert seen == [("p", 2, "data re-loading"), ("p", 1, "data available")]
            path.write_text("")
            recorder.command("dispatcher:reload")
            assert [(each.name, each.status) for each in group] == [("default", -2), ("default;events", 1)]


class TestCommands:
    """The management commands."""

    async def test_list(self):
        """The shape of the original's listing; what else exists comes with `full`."""
        given = entries(URIS[0], weight=2, priority=3, description="d", attrs="x=1")
        given += entries(URIS[1], partition="p", state=2)
        async with Recorder({"dispatcher": Dispatcher(Options(destinations=given))}) as recorder:
            recorder.plugin("dispatcher").select(1)
            first = {"URI": URIS[0], "state": "Active", "first_hit_counter": 1, "failover_hit_counter": 0}
            second = {"URI": URIS[1], "state": "Probing", "first_hit_counter": 0, "failover_hit_counter": 0}
            of_p = {"name": "p", "SETS": [{"id": 1, "Destinations": [second]}]}
            assert recorder.command("ds_list") == {
                "PARTITIONS": [
                    {"name": "default", "SETS": [{"id": 1, "Destinations": [{**first, "attrs": "x=1"}]}]},
                    of_p,
                ]
            }
            assert recorder.command("dispatcher:list", partition="p") == {"PARTITIONS": [of_p]}
            (default, _) = recorder.command("dispatcher:list", full="full")["PARTITIONS"]
            assert default["SETS"][0]["Destinations"] == [
                {**first, "weight": 2, "priority": 3, "description": "d", "attrs": "x=1"}
            ]

    async def test_set_state(self):
        """The group may name the partition; the event has the reason of the original."""
        given = entries(URIS[0]) + entries(URIS[0], partition="p")
        async with Recorder({"dispatcher": Dispatcher(Options(destinations=given))}) as recorder:
            assert recorder.command("ds_set_state", state="i", group=1, address=URIS[0]) == "OK"
            assert recorder.command("dispatcher:set_state", state="I", group="p:1", address=URIS[0]) == "OK"
            assert await recorder.events() == [
                event("inactive", "MI command"),
                event("inactive", "MI command", partition="p"),
            ]

    @pytest.mark.parametrize(
        ("params", "code"),
        [
            ({"state": "x", "group": 1, "address": "sip:10.0.0.1"}, 400),
            ({"state": "a", "group": 2, "address": "sip:10.0.0.1"}, 404),
            ({"state": "a", "group": "q:1", "address": "sip:10.0.0.1"}, 404),
            ({"state": "a", "group": 1, "address": "sip:10.0.0.9"}, 404),
            ({"state": "a", "group": "p:", "address": "sip:10.0.0.1"}, -32602),
            ({"state": "a", "group": "x", "address": "sip:10.0.0.1"}, -32602),
        ],
    )
    async def test_mistakes(self, params, code):
        """Each mistake has its answer."""
        async with Recorder({"dispatcher": dispatcher()}) as recorder:
            with pytest.raises(CommandError) as caught:
                recorder.command("dispatcher:set_state", **params)
            assert caught.value.code == code


class TestKeeping:
    """States that outlive the process."""

    async def test_states_come_back(self, tmp_path):
        """What was out of use when the interface was left is so again, whatever the configuration says."""
        path = tmp_path / "states.json"
        options = Options(destinations=entries(*URIS), state_file=str(path))
        async with Recorder({"dispatcher": Dispatcher(options)}) as recorder:
            plugin = recorder.plugin("dispatcher")
            plugin.mark(plugin.find(1, URIS[0]), "i")
            for _ in range(3):
                plugin.mark(plugin.find(1, URIS[1]), "p")
        assert [entry["state"] for entry in json.loads(path.read_text())["destinations"]] == [1, 2, 0]
        again = Dispatcher(options)
        assert [again.find(1, uri).health.state for uri in URIS] == ["inactive", "probing", "active"]
        off = Options(destinations=entries(*URIS), state_file=str(path), persistent_state=False)
        assert Dispatcher(off).find(1, URIS[0]).active

    async def test_they_are_written_now_and_then(self, tmp_path):
        """Every so often, and only when something has changed; a disk that fails is tried again."""
        path = tmp_path / "missing" / "states.json"
        turns = asyncio.Queue()

        async def sleep(_):
            await turns.get()

        plugin = Dispatcher(Options(destinations=entries(*URIS), state_file=str(path)), sleep=sleep)
        async with Recorder({"dispatcher": plugin}):
            await until(lambda: turns._getters)
            plugin.mark(plugin.find(1, URIS[0]), "i")
            turns.put_nowait(None)
            await until(lambda: turns.empty() and turns._getters)  # the disk has not taken it
            path.parent.mkdir()
            turns.put_nowait(None)
            await until(lambda: turns.empty() and turns._getters)
            assert json.loads(path.read_text())["destinations"][0]["state"] == 1
            path.unlink()
            turns.put_nowait(None)
            await until(lambda: turns.empty() and turns._getters)
            assert not path.exists()  # nothing has changed

    @pytest.mark.parametrize("text", ["", "[]", '{"destinations": [{"set": 1}]}', '{"destinations": [{"state": 9}]}'])
    def test_a_file_that_makes_no_sense(self, tmp_path, caplog, text):
        """It is logged, and the configuration holds."""
        path = tmp_path / "states.json"
        path.write_text(text)
        plugin = Dispatcher(Options(destinations=entries(*URIS), state_file=str(path)))
        assert plugin.find(1, URIS[0]).active
        assert "the states of destinations were not read" in caplog.text

    async def test_a_file_that_was_not_read_is_kept(self, tmp_path):
        """It stays beside the one that is written next, and both are for their owner alone."""
        path = tmp_path / "states.json"
        path.with_suffix(".json.damaged").write_text("an earlier one")
        path.with_suffix(".json.new").write_text("")
        path.with_suffix(".json.new").chmod(0o644)
        path.write_text("[")
        plugin = Dispatcher(Options(destinations=entries(*URIS), state_file=str(path)))
        async with Recorder({"dispatcher": plugin}):
            plugin.mark(plugin.find(1, URIS[0]), "i")
        assert path.with_suffix(".json.damaged.1").read_text() == "["
        assert json.loads(path.read_text())["destinations"][0]["state"] == 1
        assert path.stat().st_mode & 0o777 == 0o600


class TestOptions:
    """The configuration."""

    def problems(self, text):
        with pytest.raises(ConfigError) as caught:
            evframe.EventInterface(evframe.config.parse_config(text))
        return caught.value.problems

    def test_whole_configuration(self, tmp_path):
        """Destinations stand in the configuration, in a file, or in both."""
        (tmp_path / "f.toml").write_text('[[destinations]]\nset = 2\nuri = "https://b/"\n')
        text = f"""
            [plugins.dispatcher]
            file = "{tmp_path}/f.toml"
            ds_ping_interval_s = 10
            probe = {{ timeout_s = 2, http_reply_codes = "200" }}
            [[plugins.dispatcher.destinations]]
            set = 1
            uri = "sip:a"
        """
        plugin = evframe.EventInterface(evframe.config.parse_config(text)).plugin("dispatcher")
        assert sorted(plugin.partitions["default"]) == [1, 2]

    @pytest.mark.parametrize(
        ("line", "problem"),
        [
            ('ds_probing_list = "1,x"', "ds_probing_list: expected numbers"),
            ("ds_probing_threshold = 0", "ds_probing_threshold: expected 1 or more"),
            ("ds_probing_mode = 2", "ds_probing_mode"),
            ('ds_ping_method = "INVITE"', "ds_ping_method: expected a method"),
            ('ds_ping_from = "me"', "ds_ping_from: expected a URI"),
            ("ds_ping_maxfwd = 256", "ds_ping_maxfwd: expected 0 to 255"),
            ('ds_probing_sock = "tcp:h:1"', "ds_probing_sock: expected"),
            ('options_reply_codes = "x"', "options_reply_codes: expected codes"),
            ("probe = { timeout_s = 0 }", "timeout_s: expected more than 0"),
            ('file = "/no/such/file"', "file: '/no/such/file'"),
            ('destinations = [{ set = 1, uri = "x" }]', "uri: expected sip:"),
            ('destinations = [{ set = 1, uri = "sip:a", partition = "a:b" }]', "partition: expected"),
            ('destinations = [{ set = 1, uri = "sip:a", weight = -1 }]', "weight: expected 0 or more"),
            ('destinations = [{ set = 1, uri = "sip:a" }, { set = 1, uri = "sip:a" }]', "expected each once"),
        ],
    )
    def test_problems(self, line, problem):
        """Each problem has one sentence with the name of the option."""
        (found,) = self.problems(f"[plugins.dispatcher]\n{line}\n")
        assert found.startswith("plugins.dispatcher")
        assert problem in found


async def test_first_states(tmp_path):
    """With `initial_events` the event is raised once for the state that each destination begins with."""
    file = tmp_path / "sets.toml"
    file.write_text('[[destinations]]\nset = 1\nuri = "sip:10.0.0.9"\n')
    destinations = [*entries(URIS[0]), *entries(URIS[1], state=2), *entries(URIS[2], state=1, partition="pstn")]
    ticks = asyncio.Queue()

    async def sleep(seconds):
        if seconds != 1:
            await asyncio.Event().wait()
        await ticks.get()

    options = Options(destinations=destinations, file=str(file), initial_events=True)
    async with Recorder({"dispatcher": Dispatcher(options, sleep=sleep)}) as recorder:
        plugin = recorder.plugin("dispatcher")
        await until(lambda: recorder.interface.event(STATUS).raised == 4)
        assert await recorder.events() == [
            event("active", "initial state"),
            event("inactive", "initial state", URIS[1]),
            event("inactive", "initial state", URIS[2], partition="pstn"),
            event("active", "initial state", "sip:10.0.0.9"),
        ]
        file.write_text('[[destinations]]\nset = 1\nuri = "sip:10.0.0.10"\nstate = 1\n')
        plugin.reload()
        ticks.put_nowait(None)
        await until(lambda: recorder.interface.event(STATUS).raised == 5)
        assert await recorder.events() == [event("inactive", "initial state", "sip:10.0.0.10")]
        plugin.mark(plugin.find(1, URIS[0]), "i", "a test")
        ticks.put_nowait(None)
        assert await recorder.events() == [event("inactive", "a test")]
