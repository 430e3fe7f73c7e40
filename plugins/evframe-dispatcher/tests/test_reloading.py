"""Other options while the plugin works: states stay, and probes continue as they are asked for."""

import json

import pytest
from evframe_dispatcher import DestinationOptions, Dispatcher, Options
from evframe_probing.testing import SipPeer

import evframe
from evframe.testing import ConfigFile, Recorder, until

STATUS = "E_DISPATCHER_STATUS"


@pytest.fixture
def site(tmp_path):
    return ConfigFile(tmp_path / "evframe.toml", "dispatcher")


def toml(*uris, options="", more=""):
    entries = [f'[[plugins.dispatcher.destinations]]\nset = 1\nuri = "{uri}"\n{more}' for uri in uris]
    return f"[plugins.dispatcher]\n{options}\n" + "".join(entries)


async def test_destinations(site, tmp_path):
    """What was there before keeps its state and its counts, what comes begins, and what goes raises no event."""
    states = tmp_path / "states.json"
    async with site.interface(toml("sip:a", "sip:b", "sip:c")) as events:
        plugin = events.plugin("dispatcher")
        plugin.mark(plugin.find(1, "sip:a"), "i")
        plugin.mark(plugin.find(1, "sip:b"), "p")
        for _ in range(3):
            plugin.select(1)
        chosen = {each.uri: each.chosen for each in plugin._sets}
        raised = events.event(STATUS).raised
        site.write(
            toml(
                "sip:a",
                "sip:b",
                "sip:d",
                options=f"ds_probing_threshold = 2\nstate_file = '{states}'",
                more="weight = 5\n",
            )
        )
        assert events.reload().plugins == ["dispatcher"]
        assert events.plugin("dispatcher") is plugin
        assert {each.uri: each.health.state for each in plugin._sets} == {
            "sip:a": "inactive",
            "sip:b": "active",
            "sip:d": "active",
        }
        assert plugin.find(1, "sip:b").weight == 5
        assert plugin.find(1, "sip:b").chosen == chosen["sip:b"] > 0
        assert events.event(STATUS).raised == raised
        plugin.mark(plugin.find(1, "sip:b"), "p")  # its second failure, of two
        assert plugin.find(1, "sip:b").health.state == "probing"
    assert [entry["state"] for entry in json.loads(states.read_text())["destinations"]] == [1, 2, 0]


async def test_file(site, tmp_path):
    """A file that has changed is read again; one that is not as it should be refuses the reload."""
    file = tmp_path / "destinations.toml"
    file.write_text('[[destinations]]\nset = 1\nuri = "sip:a"\n')
    async with site.interface(f"[plugins.dispatcher]\nfile = '{file}'\n") as events:
        plugin = events.plugin("dispatcher")
        file.write_text('[[destinations]]\nset = 1\nuri = "sip:b"\n')
        assert events.reload().plugins == ["dispatcher"]
        assert events.reload().plugins == []
        assert [each.uri for each in plugin._sets] == ["sip:b"]
        file.write_text('[[destinations]]\nset = 1\nuri = "nowhere"\n')
        with pytest.raises(evframe.ConfigError, match=r"plugins\.dispatcher\.file: destinations\[0\]\.uri"):
            events.reload()
        assert [each.uri for each in plugin._sets] == ["sip:b"]


async def test_probes(site):
    """Probing begins, changes and ends with its options."""
    async with SipPeer(503) as peer, site.interface(toml(uri := f"sip:127.0.0.1:{peer.port}")) as events:
        plugin = events.plugin("dispatcher")
        on = "ds_ping_interval_s = 0.02\nds_probing_mode = 1\nds_probing_threshold = 1\n"
        site.write(toml(uri, options=on))
        events.reload()
        await until(lambda: not plugin.find(1, uri).active)
        site.write(toml(uri, options=on + 'options_reply_codes = "503"\nds_ping_method = "INFO"\n'))
        events.reload()
        await until(lambda: plugin.find(1, uri).active)
        assert {each.method for each in peer.received} == {"OPTIONS", "INFO"}
        site.write(toml(uri))
        events.reload()
        await until(lambda: plugin._probing._task.done())


async def test_taken_back(tmp_path):
    """What is returned brings back the destinations with their states, the probes and the file of states."""
    given = [DestinationOptions(set=1, uri=uri) for uri in ("sip:a", "sip:b")]
    state_file = str(tmp_path / "states.json")
    async with Recorder({"dispatcher": Dispatcher(Options(destinations=given, state_file=state_file))}) as recorder:
        plugin = recorder.plugin("dispatcher")
        plugin.mark(plugin.find(1, "sip:a"), "i")
        other = DestinationOptions(set=1, uri="sip:c", partition="other")
        back = plugin.reconfigure(Options(destinations=[other], ds_ping_interval_s=1.0))
        assert list(plugin.partitions) == ["other"]
        back()
        assert [(each.uri, each.health.state) for each in plugin._sets] == [("sip:a", "inactive"), ("sip:b", "active")]
        status = recorder.interface.status.find("dispatcher")
        assert status.find("other") is None
        assert status.find("default").status == 1
    assert json.loads((tmp_path / "states.json").read_text())["destinations"][0]["state"] == 1
