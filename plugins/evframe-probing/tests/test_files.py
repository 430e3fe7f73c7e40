"""Destinations in TOML files."""

import attrs
import pytest
from evframe_probing import is_target, read_destinations

from evframe import ConfigError


@attrs.frozen
class Entry:
    uri: str = attrs.field(validator=is_target)
    weight: int = 1


def read(tmp_path, text):
    path = tmp_path / "destinations.toml"
    path.write_text(text)
    return read_destinations(path, Entry)


def test_read(tmp_path):
    """Each table is one destination, in the order of the file."""
    assert read(tmp_path, '[[destinations]]\nuri = "sip:a"\n[[destinations]]\nuri = "sip:b"\nweight = 2\n') == [
        Entry("sip:a"),
        Entry("sip:b", 2),
    ]
    assert read(tmp_path, "") == []


def test_every_problem_at_once(tmp_path):
    """Each problem has its place in the file."""
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, 'x = 1\n[[destinations]]\nuri = "nowhere"\n[[destinations]]\nuri = "sip:b"\nweight = "2"\n')
    first, second, third = caught.value.problems
    assert first == "file: x: unknown key"
    assert second.startswith("file: destinations[0].uri: expected sip:")
    assert third == "file: destinations[1].weight: expected int, got '2'"


def test_no_file_and_no_toml(tmp_path):
    """A file that is missing, or no TOML, is an error with its name."""
    with pytest.raises(ConfigError, match="nothing.toml"):
        read_destinations(tmp_path / "nothing.toml", Entry)
    with pytest.raises(ConfigError, match=r"destinations\.toml"):
        read(tmp_path, "[[")
