"""Other options while the plugin works: sessions and states stay, and probes continue as they are asked for."""

import pytest
from evframe_load_balancer import DestinationOptions, LoadBalancer, NotAvailable, Options
from evframe_probing.testing import SipPeer

import evframe
from evframe.testing import ConfigFile, Recorder, until


@pytest.fixture
def site(tmp_path):
    return ConfigFile(tmp_path / "evframe.toml", "load-balancer")


def toml(*uris, options="", calls=2, mode=0):
    entries = [
        f"[[plugins.load-balancer.destinations]]\nid = {number}\ngroup = 1\nuri = '{uri}'\n"
        f"resources = {{ calls = {calls} }}\nprobe_mode = {mode}\n"
        for number, uri in enumerate(uris, 1)
    ]
    return f"[plugins.load-balancer]\n{options}\n" + "".join(entries)


async def test_sessions_stay(site):
    """A session counts after a reload, for another capacity too, and ends as it would have."""
    async with site.interface(toml("sip:a", "sip:b", calls=1)) as events:
        plugin = events.plugin("load-balancer")
        sessions = [plugin.start_session(1, ["calls"]) for _ in range(2)]
        with pytest.raises(NotAvailable):
            plugin.start_session(1, ["calls"])
        plugin.set_status(plugin.find(2), enabled=False)
        site.write(toml("sip:a", "sip:b", calls=2))
        assert events.reload().plugins == ["load-balancer"]
        assert events.plugin("load-balancer") is plugin
        assert plugin.start_session(1, ["calls"]).destination.id == 1
        with pytest.raises(NotAvailable):
            plugin.start_session(1, ["calls"])
        for session in sessions:
            session.release()
        assert [(each.id, each.load, each.enabled) for each in plugin.destinations] == [
            (1, {"calls": 1}, True),
            (2, {"calls": 0}, False),
        ]
        site.write(toml("sip:a"))
        events.reload()
        assert [each.id for each in plugin.destinations] == [1]


async def test_capacities_of_commands(site):
    """What `resize` has set stays when the options of probes change, and goes with other destinations."""
    async with site.interface(toml("sip:a")) as events:
        plugin = events.plugin("load-balancer")
        plugin.resize(plugin.find(1), "calls", 7)
        site.write(toml("sip:a", options="probing_verbose = true\nprobing_interval_s = 60\n"))
        assert events.reload().plugins == ["load-balancer"]
        assert plugin.find(1).capacity == {"calls": 7}
        site.write(toml("sip:a", calls=3))
        events.reload()
        assert plugin.find(1).capacity == {"calls": 3}


async def test_file(site, tmp_path):
    """A file that has changed is read again; one that is not as it should be refuses the reload."""
    file = tmp_path / "destinations.toml"
    entry = '[[destinations]]\nid = 1\ngroup = 1\nuri = "{}"\nresources = {{ calls = 1 }}\n'
    file.write_text(entry.format("sip:a"))
    async with site.interface(f"[plugins.load-balancer]\nfile = '{file}'\n") as events:
        plugin = events.plugin("load-balancer")
        file.write_text(entry.format("sip:b"))
        assert events.reload().plugins == ["load-balancer"]
        assert events.reload().plugins == []
        assert plugin.find(1).uri == "sip:b"
        file.write_text(entry.format("sip:b") * 2)
        with pytest.raises(evframe.ConfigError, match=r"plugins\.load-balancer\.destinations: expected each id once"):
            events.reload()
        assert plugin.find(1).uri == "sip:b"


async def test_probes(site):
    """Probing changes and ends with its options."""
    async with SipPeer(503) as peer:
        uri = f"sip:127.0.0.1:{peer.port}"
        async with site.interface(toml(uri, options="probing_interval_s = 0.02", mode=2)) as events:
            plugin = events.plugin("load-balancer")
            await until(lambda: not plugin.find(1).enabled)
            codes = 'probing_interval_s = 0.02\nprobing_reply_codes = "503"'
            site.write(toml(uri, options=codes, mode=2))
            events.reload()
            await until(lambda: plugin.find(1).enabled)
            site.write(toml(uri, options="probing_interval_s = 0", mode=2))
            events.reload()
            await until(lambda: plugin._probing._task.done())


async def test_taken_back():
    """What is returned brings back the destinations with their states and sessions."""

    def entry(number):
        return DestinationOptions(id=number, group=1, uri="sip:a", resources={"calls": 2})

    async with Recorder({"load-balancer": LoadBalancer(Options(destinations=[entry(1)]))}) as recorder:
        plugin = recorder.plugin("load-balancer")
        session = plugin.start_session(1, ["calls"])
        plugin.disable(plugin.find(1))
        back = plugin.reconfigure(Options(destinations=[entry(2)], probing_interval_s=1.0))
        assert plugin.find(1) is None
        back()
        assert (plugin.find(2), plugin.find(1).enabled, plugin.find(1).load) == (None, False, {"calls": 1})
        session.release()
        assert plugin.find(1).load == {"calls": 0}
