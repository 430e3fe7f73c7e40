"""Which tests pytest-xdist runs in one worker: all that need a broker, since a broker is started, killed and hung there."""

import ast
from functools import cache
from pathlib import Path

from xdist.scheduler import LoadScopeScheduling

BROKERS = frozenset({"rabbitmq", "kafka"})
ROOT = Path(__file__).resolve().parents[2]


class BrokersTogether(LoadScopeScheduling):
    """Gives each test to the next worker that is idle, and all that need a broker to one, which begins with them.

    The groups of xdist itself would do, but with pytest 9.2 xdist 3.8 does not see them.
    """

    def _split_scope(self, nodeid):
        return "brokers" if needs_broker(nodeid.partition("::")[0]) else nodeid


@cache
def needs_broker(file):
    """Return whether a test or a fixture in this file takes a broker."""
    text = (ROOT / file).read_text()
    if not any(name in text for name in BROKERS):
        return False
    return any(isinstance(node, ast.arg) and node.arg in BROKERS for node in ast.walk(ast.parse(text)))
