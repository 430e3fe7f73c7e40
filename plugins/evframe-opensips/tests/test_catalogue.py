"""The catalogue of the events of OpenSIPS."""

import tomllib
from importlib.resources import files

import pytest
from evframe_opensips.catalogue import Choice, catalogue, made_up, modules

from evframe.events.event import check_name

RAW = tomllib.loads(files("evframe_opensips").joinpath("catalogue.toml").read_text(encoding="utf-8"))


def test_it_is_complete():
    """It has every event of 4.1: 63 with a fixed name, and the four ways to make one up."""
    assert len(RAW["event"]) == len(catalogue()) == 63
    assert len(modules()) == 27
    assert list(made_up()) == [
        "core.raise_event",
        "core.subscribe_event",
        "core.event_route",
        "rabbitmq_consumer.connection_id",
    ]


@pytest.mark.parametrize("entry", RAW["event"] + RAW["dynamic"], ids=lambda entry: entry["name"])
def test_every_entry(entry):
    """An entry has a name that can be registered, sentences, and parameters with distinct names and known types."""
    check_name(entry["name"])
    assert set(entry) == {"name", "module", "summary", "raised_when", "params"}
    assert all(entry[key].endswith(".") for key in ("summary", "raised_when"))
    names = [param["name"] for param in entry["params"]]
    assert len(set(names)) == len(names)
    for param in entry["params"]:
        assert set(param) <= {"name", "type", "summary", "optional", "nullable", "wildcard", "positional", "values"}
        assert param["type"] in {"str", "int"}
        assert param["summary"].endswith(".")
        assert param.get("wildcard", False) == param["name"].startswith("<")


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("E_PIKE_BLOCKED", "ip"),
        ("E_DISPATCHER_STATUS", "partition? group address status reason"),
        ("E_CORE_SR_STATUS_CHANGED", "group identifier status details? old_status"),
        ("E_ACC_MISSED_EVENT", "method from_tag to_tag callid sip_code sip_reason time setuptime created"),
        ("E_UA_SESSION", "key event_type entity_type status reason method body headers extra_params"),
        ("E_RTPENGINE_NOTIFICATION", ""),
        ("E_DLG_STATE_CHANGED", "id db_id callid from_tag to_tag old_state new_state"),
    ],
)
def test_parameters(name, params):
    """Parameters are in the order in which they are sent; a `?` may be missing."""
    declared = catalogue()[name].params
    assert " ".join(key + "?" * parameter.optional for key, parameter in declared.items()) == params


def test_summaries_tell_more():
    """What a parameter can be, and which further ones there are, is in the sentences."""
    assert "One of active, backup." in catalogue()["E_CLUSTERER_SHARING_TAG_CHANGED"].params["state"].summary
    assert "It may be null." in catalogue()["E_ACC_CDR"].params["to_tag"].summary
    assert "extra_fields" in catalogue()["E_ACC_CDR"].summary


@pytest.mark.parametrize(
    ("chosen_modules", "patterns", "chosen"),
    [
        ([], [], {"E_PIKE_BLOCKED", "E_UL_AOR_INSERT"}),
        (["pike"], [], {"E_PIKE_BLOCKED"}),
        (["core"], [], {"E_CORE_LOG"}),
        ([], ["E_UL_*", "E_SCRIPT_?"], {"E_UL_AOR_INSERT", "E_SCRIPT_A"}),
        (["pike"], ["E_CORE_LOG"], {"E_PIKE_BLOCKED", "E_CORE_LOG"}),
        ([], ["*"], {"E_PIKE_BLOCKED", "E_UL_AOR_INSERT", "E_CORE_LOG", "E_SCRIPT_A"}),
    ],
)
def test_choice(chosen_modules, patterns, chosen):
    """Modules and patterns are added up; without either it is what the modules publish, and not the core."""
    choice = Choice(chosen_modules, patterns)
    assert set(choice.among(["E_PIKE_BLOCKED", "E_UL_AOR_INSERT", "E_CORE_LOG", "E_SCRIPT_A"])) == chosen
    assert {event.name for event in choice.known()} >= chosen - {"E_SCRIPT_A"}
