"""The bridge beside instances that answer as the reference says."""

import json
import logging
import os
import socket
import time
from base64 import b64encode
from contextlib import asynccontextmanager
from importlib.metadata import entry_points

import pytest
from evframe_opensips import InstanceOptions, OpensipsBridge, Options

import evframe
from evframe.config import Config
from evframe.plugins.commands import CommandError
from evframe.testing import Recorder, until

QUICK = {"check_interval_s": 0.05, "timeout_s": 2.0}


def options(*instances, **settings):
    return Options(list(instances), **{**QUICK, **settings})


def one(opensips, transport="udp", name="one", **more):
    return InstanceOptions(name, opensips.url, transport, **more)


@asynccontextmanager
async def bridge(*instances, also=(), **settings):
    async with Recorder({"opensips": OpensipsBridge(options(*instances, **settings))}) as recorder:
        for name in also:
            recorder.register_event(name)
        yield recorder


def described(recorder, name="one"):
    (found,) = recorder.command("opensips:instances", instance=name)["Instances"]
    return found


def ready(recorder, name="one"):
    return described(recorder, name)["ready"]


@pytest.mark.parametrize("transport", ["udp", "tcp", "unix"])
async def test_events_come_through(fleet, tmp_path, transport):
    """Events of an instance are raised with its name, and the leases end with the gateway."""
    opensips = await fleet("E_PIKE_BLOCKED", "E_UL_AOR_INSERT", "E_CORE_LOG", "E_CUSTOM")
    path = str(tmp_path / "one.sock") if transport == "unix" else None
    async with bridge(one(opensips, transport, path=path)) as recorder:
        await until(lambda: ready(recorder))
        await opensips.raise_event("E_PIKE_BLOCKED", {"ip": "192.0.2.1"})
        await opensips.raise_event("E_UL_AOR_INSERT", {"domain": "location", "aor": "é\n"})
        assert await recorder.wait_for(2) == [
            ("E_PIKE_BLOCKED", {"ip": "192.0.2.1", "opensips_instance": "one"}),
            ("E_UL_AOR_INSERT", {"domain": "location", "aor": "é\n", "opensips_instance": "one"}),
        ]
        (target,) = opensips.targets("E_PIKE_BLOCKED")
        assert target.startswith(f"{transport}:")
        about = described(recorder)
        assert about["events"] == ["E_PIKE_BLOCKED", "E_UL_AOR_INSERT"]
        assert (about["received"], about["raised"], about["refused"], about["unparsed"]) == (2, 2, {}, 0)
        assert about["socket"] == target
        assert 590 <= about["lease_left_s"] <= 600
        assert about["seen_s_ago"] >= 0
    assert not any(map(opensips.targets, opensips.events))


async def test_reliable_stream(fleet):
    """An instance in reliable mode gets a reply to each event."""
    opensips = await fleet("E_PIKE_BLOCKED")
    async with bridge(one(opensips, "tcp")) as recorder:
        await until(lambda: ready(recorder))
        (target,) = opensips.targets("E_PIKE_BLOCKED")
        await opensips.send_to(
            target, b'{"id":1590527047,"jsonrpc":"2.0","method":"E_PIKE_BLOCKED","params":{"ip":"x"}}'
        )
        assert await opensips.reply(target) == b'{"jsonrpc":"2.0","result":"OK","id":1590527047}'
        assert len(await recorder.wait_for(1)) == 1


async def test_two_instances(fleet):
    """The same event of two instances is distinguished by the name, whichever sends it."""
    first, second = await fleet("E_PIKE_BLOCKED"), await fleet("E_PIKE_BLOCKED")
    async with bridge(one(first), one(second, name="two")) as recorder:
        await until(lambda: ready(recorder) and ready(recorder, "two"))
        for number in range(3):
            await second.raise_event("E_PIKE_BLOCKED", {"ip": f"2.{number}"})
            await first.raise_event("E_PIKE_BLOCKED", {"ip": f"1.{number}"})
        raised = [params for _, params in await recorder.wait_for(6)]
    for name, digit in (("one", "1"), ("two", "2")):
        own = [params["ip"] for params in raised if params["opensips_instance"] == name]
        assert own == [f"{digit}.{number}" for number in range(3)]


async def test_events_that_the_catalogue_does_not_know(fleet):
    """Events that match a pattern are registered when an instance has them, also later."""
    opensips = await fleet("E_SCRIPT_A", "E_OTHER")
    async with bridge(one(opensips), events=["E_SCRIPT_*"]) as recorder:
        await until(lambda: ready(recorder))
        assert recorder.interface.event("E_SCRIPT_A").declaration is None
        recorder.register_event("E_SCRIPT_A")
        await opensips.raise_event("E_SCRIPT_A", ["a", 1])
        assert await recorder.wait_for(1) == [("E_SCRIPT_A", ("a", 1))]
        opensips.events += ["E_SCRIPT_B", "E_SCRIPT_" + "x" * 60]
        await until(lambda: described(recorder)["events"] == ["E_SCRIPT_A", "E_SCRIPT_B"])
        assert list(described(recorder)["refused_events"]) == ["E_SCRIPT_" + "x" * 60]
        with pytest.raises(evframe.UnknownEventError):
            recorder.interface.event("E_OTHER")


async def test_kill_and_restart(fleet, caplog):
    """An instance that comes back without its leases is subscribed again."""
    opensips = await fleet("E_PIKE_BLOCKED", "E_UL_AOR_INSERT")
    with caplog.at_level(logging.INFO, "evframe.opensips"):
        async with bridge(one(opensips)) as recorder:
            await until(lambda: ready(recorder))
            await opensips.close()
            await until(lambda: not ready(recorder))
            assert "no answer from http://127.0.0.1" in described(recorder)["details"]
            await opensips.open()
            await until(lambda: ready(recorder) and opensips.targets("E_UL_AOR_INSERT"))
            await opensips.raise_event("E_PIKE_BLOCKED", {"ip": "192.0.2.1"})
            assert len(await recorder.wait_for(1)) == 1
            assert described(recorder)["lost_leases"] == 2
            reports = [report.text for report in recorder.interface.status.group("opensips").find("one").reports]
    assert reports[0] == reports[-1] == "attached"
    assert "everything was lost" in reports
    assert [record.message for record in caplog.records] == [
        "an instance is attached",
        "an instance is away",
        "an instance is attached",
        "an instance was left",
    ]


async def test_restart_between_two_looks(fleet):
    """A restart that was not noticed while it lasted is noticed by the leases."""
    opensips = await fleet("E_PIKE_BLOCKED")
    async with bridge(one(opensips)) as recorder:
        await until(lambda: ready(recorder))
        opensips.leases.clear()
        await until(lambda: described(recorder)["lost_leases"] == 1)
        await until(lambda: opensips.targets("E_PIKE_BLOCKED"))
        await opensips.raise_event("E_PIKE_BLOCKED", {"ip": "192.0.2.1"})
        assert len(await recorder.wait_for(1)) == 1


async def test_lost_connection_is_a_sign(fleet):
    """A connection that ends has the instance looked at, long before it would be."""
    opensips = await fleet("E_PIKE_BLOCKED")
    async with bridge(one(opensips, "tcp"), check_interval_s=100.0) as recorder:
        await until(lambda: ready(recorder))
        await opensips.raise_event("E_PIKE_BLOCKED", {"ip": "192.0.2.1"})
        await recorder.wait_for(1)
        port = opensips.port
        await opensips.close()
        opensips.port = port
        await opensips.open()
        await until(lambda: opensips.targets("E_PIKE_BLOCKED"))


async def test_one_lease_is_lost(fleet):
    """A lease that somebody else has ended, or that has expired, is taken again; the others are left alone."""
    opensips = await fleet("E_PIKE_BLOCKED", "E_UL_AOR_INSERT")
    async with bridge(one(opensips)) as recorder:
        await until(lambda: ready(recorder))
        (target,) = opensips.targets("E_PIKE_BLOCKED")
        opensips.requests.clear()
        opensips.leases["E_PIKE_BLOCKED"].clear()
        await until(lambda: opensips.targets("E_PIKE_BLOCKED") == [target])
        _, at = opensips.leases["E_UL_AOR_INSERT"][target]
        opensips.leases["E_UL_AOR_INSERT"][target] = (600, at - 700)  # listed with "ttl":"expired"
        await until(lambda: opensips.leases["E_UL_AOR_INSERT"][target][1] >= at)
        await until(lambda: described(recorder)["lost_leases"] == 2)
    subscribed = [tuple(params) for method, params in opensips.requests if method == "event_subscribe" and params[2]]
    assert subscribed == [("E_PIKE_BLOCKED", target, 600), ("E_UL_AOR_INSERT", target, 600)]


async def test_leases_are_renewed(fleet):
    """A lease is renewed in its second half, and not before."""
    opensips = await fleet("E_PIKE_BLOCKED")
    async with bridge(one(opensips)) as recorder:
        await until(lambda: ready(recorder))
        (target,) = opensips.targets("E_PIKE_BLOCKED")
        looks = len(opensips.requests)
        await until(lambda: len(opensips.requests) > looks + 6)
        assert [method for method, _ in opensips.requests].count("event_subscribe") == 1
        _, at = opensips.leases["E_PIKE_BLOCKED"][target]
        opensips.leases["E_PIKE_BLOCKED"][target] = (600, at - 301)
        await until(lambda: opensips.leases["E_PIKE_BLOCKED"][target][1] >= at)
        assert described(recorder)["lost_leases"] == 0


async def test_long_lists(fleet):
    """When the list of all subscribers is too long for an answer, each lease is asked for."""
    opensips = await fleet("E_PIKE_BLOCKED", "E_UL_AOR_INSERT")
    opensips.too_long = True
    async with bridge(one(opensips)) as recorder:
        await until(lambda: ready(recorder))
        opensips.leases["E_PIKE_BLOCKED"].clear()
        await until(lambda: opensips.targets("E_PIKE_BLOCKED"))
        assert described(recorder)["lost_leases"] == 1
    assert ("event_subscribe", ["E_UL_AOR_INSERT", subscribed_socket(opensips), 600]) in opensips.requests


def subscribed_socket(opensips):
    return next(params[1] for method, params in opensips.requests if method == "event_subscribe")


async def test_refused_subscriptions(fleet):
    """An instance without the transport is not ready, and says why; one refused event leaves the others."""
    opensips = await fleet("E_PIKE_BLOCKED")
    opensips.transports = ("tcp",)
    async with bridge(one(opensips)) as recorder:
        await until(lambda: "400: Bad parameter value" in described(recorder)["details"])
        assert not ready(recorder)
        opensips.transports = ("udp",)
        await until(lambda: ready(recorder))
        opensips.events.append("E_UL_AOR_INSERT")
        subscribe = opensips.commands["event_subscribe"]
        opensips.commands["event_subscribe"] = lambda name, *rest: subscribe("E_NONE" if "UL" in name else name, *rest)
        await until(lambda: described(recorder)["refused_events"])
        assert described(recorder)["details"] == "1 events, 1 refused: 400: Bad parameter value"


async def test_nothing_to_bridge(fleet):
    """An instance that has none of the events is not ready."""
    opensips = await fleet("E_CORE_LOG")
    async with bridge(one(opensips)) as recorder:
        await until(lambda: described(recorder)["details"] == "it has none of the chosen events")
        assert not ready(recorder)


@pytest.mark.parametrize("answer", ["OK", {"Events": [{"id": 1}]}, None])
async def test_strange_answers(fleet, answer):
    """An instance that answers something else is not ready; it is asked again."""
    opensips = await fleet("E_PIKE_BLOCKED")
    right = opensips.commands["events_list"]
    opensips.commands["events_list"] = lambda: answer
    async with bridge(one(opensips)) as recorder:
        await until(lambda: "events_list: expected" in (described(recorder)["details"] or ""))
        opensips.commands["events_list"] = right
        await until(lambda: ready(recorder))


async def test_instance_that_is_away_at_the_start(fleet):
    """The gateway starts while an instance is away, and attaches once it answers; the others do not wait."""
    here, away = await fleet("E_PIKE_BLOCKED"), await fleet("E_PIKE_BLOCKED")
    await away.close()
    async with bridge(one(here), one(away, name="two")) as recorder:
        await until(lambda: ready(recorder))
        assert not ready(recorder, "two")
        await away.open()
        await until(lambda: ready(recorder, "two"))


async def test_silent_instance_at_the_end(fleet, caplog):
    """Leaving an instance that does not answer any more takes one time limit, not one for each event; that is logged."""
    names = [f"E_{number}" for number in range(40)]
    opensips = await fleet(*names)
    async with bridge(one(opensips), events=names, timeout_s=0.2) as recorder:
        await until(lambda: ready(recorder) and len(opensips.leases) == 40)
        opensips.is_silent = True
    assert opensips.unanswered < 12  # eight at a time, and a check that was under way
    assert "leases are left to end by themselves" in caplog.text


async def test_leases_of_a_killed_gateway(fleet):
    """A gateway that was killed finds its leases again when its port is configured; those it has no use for end."""
    opensips = await fleet("E_PIKE_BLOCKED", "E_UL_AOR_INSERT")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    for name in opensips.events:
        opensips.commands["event_subscribe"](name, f"udp:127.0.0.1:{port}", 600)
    async with bridge(one(opensips, port=port), modules=["pike"]) as recorder:
        await until(lambda: ready(recorder))
        assert opensips.targets("E_UL_AOR_INSERT") == []
        assert "event_subscribe" not in [method for method, params in opensips.requests if params and params[-1]]
        await opensips.raise_event("E_PIKE_BLOCKED", {"ip": "192.0.2.1"})
        assert len(await recorder.wait_for(1)) == 1


async def test_socket_that_is_the_beginning_of_another(fleet, caplog, tmp_path):
    """An instance that takes the gateway's socket for another one's has a status that names both."""
    opensips = await fleet("E_PIKE_BLOCKED")
    other = f"unix:{tmp_path}/a.sock"
    opensips.leases["E_PIKE_BLOCKED"] = {other: (600, time.monotonic())}
    subscribe = opensips.commands["event_subscribe"]

    def take_for_another(name, target, expire):
        return subscribe(
            name, next((each for each in opensips.targets(name) if each.startswith(target)), target), expire
        )

    opensips.commands["event_subscribe"] = take_for_another
    async with bridge(one(opensips, "unix", path=f"{tmp_path}/a")) as recorder:
        await until(lambda: "beginning" in described(recorder)["details"])
        assert f"got 'unix:{tmp_path}/a' and {other!r}" in described(recorder)["details"]
        assert not ready(recorder)
    assert [record.instance for record in caplog.records if "beginning" in getattr(record, "problem", "")] == ["one"]


async def test_core_events_bear_the_name_of_the_instance(fleet):
    """Of the events that a gateway raises about itself too, those of an instance bear its name or are refused."""
    opensips = await fleet("E_CORE_LOG", "E_CORE_NEW")
    async with bridge(one(opensips), also=["E_CORE_LOG"], events=["E_CORE_*"]) as recorder:
        recorder.interface.register_event("E_CORE_NEW", {"text": str})
        await until(lambda: ready(recorder))
        recorder.interface.raise_event("E_CORE_LOG", {"text": "ours"})
        await opensips.raise_event("E_CORE_LOG", {"text": "theirs"})
        assert await recorder.wait_for(2) == [
            ("E_CORE_LOG", {"text": "ours"}),
            ("E_CORE_LOG", {"text": "theirs", "opensips_instance": "one"}),
        ]
        assert described(recorder)["events"] == ["E_CORE_LOG"]
        assert "E_CORE_NEW" in described(recorder)["refused_events"]["E_CORE_NEW"]


async def test_resubscribe(fleet):
    """The command subscribes to everything again, at one instance or at all; an unknown one is an error."""
    opensips = await fleet("E_PIKE_BLOCKED")
    async with bridge(one(opensips), check_interval_s=100.0) as recorder:
        await until(lambda: ready(recorder))
        for params in ({}, {"instance": "one"}):
            opensips.requests.clear()
            assert recorder.command("opensips:resubscribe", **params) == "OK"
            await until(lambda: [method for method, _ in opensips.requests].count("event_subscribe") == 1)
        with pytest.raises(CommandError, match="Instance does not exist"):
            recorder.command("opensips:resubscribe", instance="two")


async def test_enforced_declaration_without_a_place(fleet):
    """An event whose declaration in the configuration has no place for the name is raised without it, if it fits."""
    opensips = await fleet("E_SCRIPT_A")
    async with bridge(one(opensips), events=["E_SCRIPT_*"]) as recorder:
        recorder.interface.register_event("E_SCRIPT_A", {"n": int})
        recorder._subscribe("E_SCRIPT_A")
        await until(lambda: ready(recorder))
        await opensips.raise_event("E_SCRIPT_A", {"n": 1})
        await opensips.raise_event("E_SCRIPT_A", {"n": "x"})
        assert await recorder.wait_for(1) == [("E_SCRIPT_A", {"n": 1})]
        await until(lambda: described(recorder)["refused"] == {"parameters": 1})


class Strict:
    """Another plugin that has an event of OpenSIPS."""

    @evframe.hookimpl
    def register_events(self, collector):
        collector.add("E_PIKE_BLOCKED", {"ip": str}, summary="An address is blocked.")


@pytest.mark.parametrize("bridge_first", [True, False])
async def test_event_that_another_plugin_declares(fleet, bridge_first):
    """An event that another plugin declares comes through with the instance's name, whatever version sent it."""
    opensips = await fleet("E_PIKE_BLOCKED")
    plugins = {"opensips": OpensipsBridge(options(one(opensips))), "strict": Strict()}
    async with Recorder(plugins if bridge_first else dict(reversed(plugins.items()))) as recorder:
        await until(lambda: ready(recorder))
        await opensips.raise_event("E_PIKE_BLOCKED", {"ip": "192.0.2.1", "new_in_5": 1})
        assert await recorder.wait_for(1) == [
            ("E_PIKE_BLOCKED", {"ip": "192.0.2.1", "new_in_5": 1, "opensips_instance": "one"})
        ]


async def test_token_is_read_anew(fleet, tmp_path):
    """The token is read for each attachment; without its file the instance is not ready, and the token is not shown."""
    opensips = await fleet("E_PIKE_BLOCKED")
    file = tmp_path / "token"
    async with bridge(one(opensips, token_file=str(file))) as recorder:
        await until(lambda: "No such file" in (described(recorder)["details"] or ""))
        file.write_text("secret\n")
        await until(lambda: ready(recorder))
        assert "secret" not in json.dumps(described(recorder))
        assert "pass" not in repr(InstanceOptions("x", "http://user:pass@127.0.0.1/mi"))
    assert opensips.tokens == {"secret"}


async def test_token_that_is_refused_is_read_again(fleet, tmp_path, caplog):
    """An instance that takes another token from now on stays attached when the file has that one."""
    opensips = await fleet("E_PIKE_BLOCKED")
    file = tmp_path / "token"
    file.write_text("before\n")
    async with bridge(one(opensips, token_file=str(file))) as recorder:
        await until(lambda: ready(recorder))
        file.write_text("after\n")
        opensips.wanted_token = "after"
        looks = len(opensips.requests)
        await until(lambda: len(opensips.requests) > looks + 6)
        assert ready(recorder)
    assert opensips.tokens == {"before", "after"}
    assert "an instance is away" not in caplog.text


async def test_reconfiguration(fleet, tmp_path):
    """Instances come, go and change while the gateway works; those that stay lose nothing."""
    first, second, third = [await fleet("E_PIKE_BLOCKED", "E_UL_AOR_INSERT") for _ in range(3)]
    async with bridge(one(first), one(second, name="two"), modules=["pike"], also=["E_UL_AOR_INSERT"]) as recorder:
        await until(lambda: ready(recorder) and ready(recorder, "two"))
        plugin, (target,) = recorder.plugin("opensips"), first.targets("E_PIKE_BLOCKED")
        await first.raise_event("E_PIKE_BLOCKED", {"ip": "before"})
        assert await recorder.wait_for(1) == [("E_PIKE_BLOCKED", {"ip": "before", "opensips_instance": "one"})]
        first.requests.clear()
        plugin.reconfigure(options(one(first), one(third, name="three"), events=["E_*"], instance_param="from"))
        await first.raise_event("E_PIKE_BLOCKED", {"ip": "after"})
        await until(lambda: first.targets("E_UL_AOR_INSERT") == [target] and third.targets("E_UL_AOR_INSERT"))
        await until(lambda: not second.targets("E_PIKE_BLOCKED"))
        changes = [params for method, params in first.requests if method == "event_subscribe"]
        assert changes == [["E_UL_AOR_INSERT", target, 600]]
        assert list(plugin.instances) == ["one", "three"]
        assert [identifier.name for identifier in recorder.interface.status.group("opensips")] == ["one", "three"]
        await first.raise_event("E_UL_AOR_INSERT", {"aor": "x"})
        assert [params for _, params in await recorder.wait_for(2)] == [
            {"ip": "after", "from": "one"},
            {"aor": "x", "from": "one"},
        ]
        # The same place, another OpenSIPS.
        plugin.reconfigure(options(one(second), modules=["pike"]))
        await until(lambda: second.targets("E_PIKE_BLOCKED") == [target] and not first.targets("E_PIKE_BLOCKED"))
        assert second.targets("E_UL_AOR_INSERT") == []
        # Another place.
        path = str(tmp_path / "one.sock")
        plugin.reconfigure(options(one(second, "unix", path=path), modules=["pike"]))
        await until(lambda: second.targets("E_PIKE_BLOCKED") == [f"unix:{path}"])
    assert not any(opensips.targets("E_PIKE_BLOCKED") for opensips in (first, second, third))
    assert not os.path.exists(path)


async def test_refused_reconfiguration(fleet):
    """A reconfiguration that cannot be is refused, and everything stays as it was."""
    opensips = await fleet("E_PIKE_BLOCKED")
    async with bridge(one(opensips)) as recorder:
        await until(lambda: ready(recorder))
        plugin, (target,) = recorder.plugin("opensips"), opensips.targets("E_PIKE_BLOCKED")
        with pytest.raises(ValueError, match="unix_socket_mode: expected '660' as before"):
            plugin.reconfigure(options(one(opensips), unix_socket_mode="600"))
        taken = one(opensips, name="two", port=int(target.rpartition(":")[2]))
        with pytest.raises(OSError, match="instance 'two'"):
            plugin.reconfigure(options(one(opensips), one(opensips, name="three"), taken))
        assert list(plugin.instances) == ["one"]
        assert [identifier.name for identifier in recorder.interface.status.group("opensips")] == ["one"]
        await opensips.raise_event("E_PIKE_BLOCKED", {"ip": "192.0.2.1"})
        assert len(await recorder.wait_for(1)) == 1


async def test_address_in_use_is_an_error_of_the_start(fleet):
    """A port that is taken is an error with its path, and nothing is left behind."""
    opensips = await fleet("E_PIKE_BLOCKED")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        plugin = OpensipsBridge(options(one(opensips), one(opensips, name="two", port=port)))
        with pytest.raises(
            OSError, match=rf"plugins.opensips, instance 'two': 127.0.0.1:{port}: Address already in use"
        ):
            async with evframe.EventInterface(plugins={"opensips": plugin}):
                pass
    assert plugin.instances == {}
    assert opensips.requests == []


async def test_secrets_of_an_instance_come_from_references(fleet, monkeypatch, caplog):
    """The token and the URL take references; listings, statuses and the log have no value, and a reload reads again."""
    opensips = await fleet("E_PIKE_BLOCKED")
    monkeypatch.setenv("TOKEN", "sesame")
    monkeypatch.setenv("PLACE", f"127.0.0.1:{opensips.port}")
    others = sorted({entry.name for entry in entry_points(group="evframe")} - {"opensips"})
    instances = [
        {"name": "one", "url": opensips.url, "token": "${env:TOKEN}"},
        {"name": "two", "url": f"http://me:${{env:TOKEN}}@127.0.0.1:{opensips.port}/mi"},
        {"name": "three", "url": "http://${env:TOKEN}:pw@127.0.0.1:1/mi"},
    ]
    config = Config(disable=others, plugins={"opensips": {**QUICK, "instances": instances}})
    caplog.set_level(logging.DEBUG)
    async with evframe.EventInterface(config) as events:
        bridge = events.plugin("opensips")
        await until(lambda: all(bridge.instances[name].describe()["ready"] for name in ("one", "two")))
        await until(lambda: bridge.instances["three"].describe()["details"] not in {None, "connecting"})
        assert opensips.tokens == {"sesame", b64encode(b"me:sesame").decode()}
        described = [instance.describe() for instance in bridge.instances.values()]
        assert described[1]["url"] == f"http://me:***@127.0.0.1:{opensips.port}/mi"
        assert described[2]["url"] == "http://${env:TOKEN}:***@127.0.0.1:1/mi"
        monkeypatch.setenv("TOKEN", "mellon")
        assert events.reload(config).plugins == ["opensips"]
        await until(lambda: {"mellon", b64encode(b"me:mellon").decode()} <= opensips.tokens)
        described += [instance.describe() for instance in bridge.instances.values()]
    shown = f"{caplog.text}{described}{bridge._options!r}"
    assert "sesame" not in shown
    assert "mellon" not in shown
