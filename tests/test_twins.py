"""Modules that two plugins have both, since no plugin may know another one."""

from pathlib import Path

import pytest

PLUGINS = Path(__file__).resolve().parents[1] / "plugins"


@pytest.mark.parametrize("module", ["places.py", "secrets.py", "tls.py", "tokens.py", "unmapped.py"])
def test_both_plugins_of_kafka_have_the_same_module(module):
    """A change to what sending and consuming share is made in both, because neither depends on the other."""
    texts = [
        (PLUGINS / f"evframe-{name}" / f"evframe_{name.replace('-', '_')}" / module).read_text()
        for name in ("kafka", "kafka-consumer")
    ]
    assert texts[0] == texts[1]
