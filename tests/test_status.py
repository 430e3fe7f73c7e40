"""Status and reports."""

import pytest

from evframe.plugins.status import StatusRegistry
from evframe.testing import FakeClock


@pytest.fixture
def told():
    return []


@pytest.fixture
def registry(told):
    return StatusRegistry(told.append, FakeClock(100.0))


def test_a_change_of_the_number_is_told(registry, told):
    """The same number with another text is no change; 0 is kept as 1."""
    group = registry.group("pike")
    group.add(status=-1)
    group.set_status(-1, "another text")
    group.set_status(0)
    group.set_status(1)
    assert [(change.old_status, change.status, change.details) for change in told] == [(-1, 1, None)]


def test_names_are_compared_without_case(registry):
    """A group and an identifier are found whatever their case."""
    registry.group("Pike").add("Main")
    assert registry.find("PIKE").find("mAIN").name == "Main"
    assert registry.group("pike") is registry.find("Pike")


def test_reports_are_bounded(registry, told):
    """Only the newest reports are kept, and nobody is told."""
    group = registry.group("pike")
    group.add(reports=2)
    for text in "abc":
        group.report(text)
    assert [(report.at, report.text) for report in group.find().reports] == [(100.0, "b"), (100.0, "c")]
    assert told == []


def test_all_of_a_group(registry):
    """A group is ready when none of its identifiers says otherwise."""
    group = registry.group("drouting")
    group.add("a")
    group.add("b", 2)
    assert group.aggregated == 1
    group.set_status(-2, identifier="a")
    assert group.aggregated == -1


def test_unknown_identifier(registry):
    """An identifier that is not there is an error that names it; to take it out is none."""
    group = registry.group("pike")
    group.remove("nosuch")
    with pytest.raises(LookupError, match="nosuch"):
        group.set_status(1, identifier="nosuch")
