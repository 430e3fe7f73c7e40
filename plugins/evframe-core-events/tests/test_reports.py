"""The registry of statuses: its event and its commands."""

import json
import time

import pytest
from evframe_core_events import CoreEvents
from evframe_mi import Management
from evframe_mi.testing import management

import evframe
from evframe.plugins.commands import CommandError
from evframe.testing import MemoryTransport, Recorder

CHANGED = "E_CORE_SR_STATUS_CHANGED"


@pytest.fixture
def events():
    events = evframe.EventInterface(
        plugins={"mi": Management(), "core-events": CoreEvents(), "memory": MemoryTransport()}
    )
    group = events.status.group("drouting")
    group.add("Default", 1, "data available", reports=2)
    group.add("other")
    group.report("starting", "Default")
    return events


def ask(events, name, *params):
    request = {"jsonrpc": "2.0", "id": 1, "method": name, "params": params}
    answer = json.loads(management(events).handle(json.dumps(request).encode()))
    return answer.get("result", answer.get("error"))


async def test_event_is_found_by_its_name_q22():
    """Q-22: an event of the core is itself, whatever else has the id that it has in the original."""

    class Other:
        @evframe.hookimpl
        def register_events(self, collector):
            for number in range(3):
                collector.add(f"E_OTHER_{number}", {})

    async with Recorder({"other": Other(), "core-events": CoreEvents()}) as recorder:
        assert [event.name for event in recorder.interface.events][:3] == [f"E_OTHER_{number}" for number in range(3)]
        recorder.interface.status.group("drouting").add("Default", -1)
        recorder.interface.status.group("drouting").set_status(2, identifier="Default")
        raised = await recorder.events()

    assert {name for name, _ in raised} == {CHANGED}
    assert raised[-1][1]["group"] == "drouting"


async def test_event():
    """A status that changes is raised; details that are not given are left out."""
    async with Recorder({"core-events": CoreEvents()}) as recorder:
        group = recorder.interface.status.group("drouting")
        group.add("Default", -1)
        group.set_status(-1, "the same number", "Default")
        group.set_status(2, "data re-loading", "DEFAULT")
        group.set_status(1, identifier="Default")
        raised = await recorder.events()
    common = {"group": "drouting", "identifier": "Default"}
    assert raised == [
        (CHANGED, {"group": "core", "identifier": "main", "status": -1, "details": "initializing", "old_status": -100}),
        (CHANGED, {"group": "core", "identifier": "main", "status": 1, "details": "running", "old_status": -1}),
        (CHANGED, {**common, "status": 2, "details": "data re-loading", "old_status": -1}),
        (CHANGED, {**common, "status": 1, "old_status": 2}),
    ]
    assert list(raised[2][1]) == ["group", "identifier", "status", "details", "old_status"]


def test_get_status(events):
    """One identifier, main when none is named, or all of a group; the ≤3.6 names work too."""
    assert ask(events, "status_report:get", "drouting", "default") == {
        "Readiness": True,
        "Status": 1,
        "Details": "data available",
    }
    assert ask(events, "sr_get_status", "core") == {"Readiness": False, "Status": -100, "Details": "just started"}
    assert ask(events, "get_status", "Drouting", "OTHER") == {"Readiness": True, "Status": 1}
    everything = {"Readiness": True, "Status": 1, "Details": "aggregated"}
    assert ask(events, "get_status", "drouting", "all") == everything
    events.status.group("drouting").set_status(-2, identifier="other")
    assert ask(events, "get_status", "drouting", "ALL") == {**everything, "Readiness": False, "Status": -1}


def test_status(events):
    """All groups with their identifiers, or the identifiers of one group alone."""
    drouting = [
        {"Name": "Default", "Readiness": True, "Status": 1, "Details": "data available"},
        {"Name": "other", "Readiness": True, "Status": 1},
    ]
    listed = ask(events, "status_report:status")
    assert [group["Name"] for group in listed] == ["core", "core-events", "drouting"]
    assert listed[2] == {"Name": "drouting", "Identifiers": drouting}
    assert ask(events, "status_report:status", "drouting") == drouting


def test_reports(events):
    """The reports of all groups, of the identifiers of one, or those of one identifier alone, with their times."""
    (report,) = events.status.group("drouting").find("default").reports
    lines = [{"Timestamp": int(report.at), "Date": time.ctime(report.at), "Log": "starting"}]
    drouting = [{"Name": "Default", "Reports": lines}, {"Name": "other", "Reports": []}]
    assert ask(events, "status_report:reports")[2] == {"Name": "drouting", "Identifiers": drouting}
    assert ask(events, "status_report:reports", "drouting") == drouting
    assert ask(events, "status_report:reports", "drouting", "default") == lines


def test_identifiers(events):
    """The names of the identifiers, by group."""
    assert ask(events, "status_report:identifiers") == [
        {"Group": "core", "Identifiers": ["main"]},
        {"Group": "core-events", "Identifiers": ["main"]},
        {"Group": "drouting", "Identifiers": ["Default", "other"]},
    ]
    assert ask(events, "status_report:identifiers", "core") == {"Group": "core", "Identifiers": ["main"]}


@pytest.mark.parametrize(
    ("name", "former", "params"),
    [
        ("get", "get_status", ["core"]),
        ("status", "list_status", []),
        ("status", "list_status", ["core"]),
        ("reports", "list_reports", ["drouting", "default"]),
        ("identifiers", "list_identifiers", ["core"]),
    ],
)
def test_former_names(events, name, former, params):
    """Each command has its name of 4.x, that of 3.x, and the one that it had here before."""
    answer = ask(events, f"status_report:{name}", *params)
    for other in (f"sr_{former}", f"status_report:{former}", former):
        assert ask(events, other, *params) == answer, other


@pytest.mark.parametrize(
    ("name", "params", "message"),
    [
        ("get_status", {"group": "nosuch"}, "Group not found"),
        ("get_status", {"group": "drouting"}, "Identity not found"),
        ("get_status", {"group": "core", "identifier": "nosuch"}, "Identity not found"),
        ("list_status", {"group": "nosuch"}, "Group not found"),
        ("list_reports", {"group": "core", "identifier": "nosuch"}, "Identity not found"),
        ("list_identifiers", {"group": "nosuch"}, "Group not found"),
    ],
)
def test_unknown(events, name, params, message):
    """What is not there is 404, with what it is."""
    with pytest.raises(CommandError) as error:
        events.commands.find(name).run(params)
    assert (error.value.code, error.value.message) == (404, message)
