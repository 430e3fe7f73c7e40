"""Which tests pytest-xdist runs in one worker: those of a broker, and those that share what is made once for a file."""

import ast
from functools import cache
from pathlib import Path

from xdist.scheduler import LoadScopeScheduling

ROOT = Path(__file__).resolve().parents[2]


class BrokersApart(LoadScopeScheduling):
    """Gives each test to the next worker that is idle, and those that need a Kafka, or a RabbitMQ alone, to one each.

    Both begin at once, and have their brokers for themselves. The groups of xdist itself would do, but with pytest 9.2
    xdist 3.8 does not see them. A file with a fixture for the whole file is kept together as well, since each worker
    would make it again.
    """

    def _split_scope(self, nodeid):
        file = nodeid.partition("::")[0]
        return broker_of(file) or (file if has_module_fixture(file) else nodeid)


@cache
def broker_of(file):
    """Return the broker that the tests of this file are kept together for: kafka, rabbitmq or none."""
    text = (ROOT / file).read_text()
    for name in ("kafka", "rabbitmq"):
        if name in text and any(isinstance(node, ast.arg) and node.arg == name for node in ast.walk(ast.parse(text))):
            return name
    return None


@cache
def has_module_fixture(file):
    """Return whether a fixture of this file is made once for all of its tests."""
    return '@pytest.fixture(scope="module"' in (ROOT / file).read_text()
