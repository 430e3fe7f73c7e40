"""Which tests pytest-xdist runs in one worker: those of a broker or browser, and those that share what a file has."""

import ast
from functools import cache
from pathlib import Path

from xdist.scheduler import LoadScopeScheduling

ROOT = Path(__file__).resolve().parents[2]


class BrokersApart(LoadScopeScheduling):
    """Gives each test to the next worker that is idle, and those that need a Kafka, or a RabbitMQ alone, to few.

    The tests of a Kafka wait a lot: those of each folder are together, with a broker in each worker that gets some,
    because all of them in one worker would last longer than all other tests. Those that look at a page share a browser,
    of which each worker would start another one for its part of each file. The groups of xdist itself would do, but
    with pytest 9.2 xdist 3.8 does not see them. The tests with a fixture for their whole file are kept together as well,
    since each worker would make it again.
    """

    def _split_scope(self, nodeid):
        file = nodeid.partition("::")[0]
        broker = broker_of(nodeid)
        if broker in {"kafka", "look"}:
            return f"{broker} of {file.split('/')[1]}"
        return broker or (file if has_module_fixture(file) else nodeid)

    def mark_test_complete(self, node, item_index, duration=0):
        """Forget what is complete: xdist would count all of it after each test, seconds in all."""
        nodeid = self.registered_collections[node][item_index]
        scope, units = self._split_scope(nodeid), self.assigned_work[node]
        units[scope][nodeid] = True
        if all(units[scope].values()):
            del units[scope]
        self._reschedule(node)


def broker_of(nodeid):
    """Return the fixture that a test is kept together for: kafka, rabbitmq, look, which has a browser, or none."""
    file, *names = nodeid.partition("[")[0].split("::")
    return next((each for each in ("kafka", "rabbitmq", "look") if needing(file, each).intersection(names)), None)


@cache
def needing(file, broker):
    """Return the functions and classes of a file whose tests have *broker*, or a fixture that has it, as an argument."""
    text = (ROOT / file).read_text()
    if broker not in text:
        return frozenset()
    nodes = list(ast.walk(ast.parse(text)))
    functions = {node: arguments(node) for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
    found, before = {broker}, set()
    while found != before:
        before = found
        found = before | {function.name for function, names in functions.items() if names & before}
    classes = [node for node in nodes if isinstance(node, ast.ClassDef)]
    return frozenset(found) | {each.name for each in classes if any(is_for_all(node, found) for node in each.body)}


def arguments(function):
    """Return the names of the arguments of a function."""
    return {node.arg for node in ast.walk(function.args) if isinstance(node, ast.arg)}


def is_for_all(node, found):
    """Return whether a member of a class is a fixture for all of its tests, and among *found*."""
    decorators = " ".join(map(ast.unparse, getattr(node, "decorator_list", ())))
    return "autouse=True" in decorators and node.name in found


@cache
def has_module_fixture(file):
    """Return whether a fixture of this file is made once for all of its tests."""
    return 'fixture(scope="module"' in (ROOT / file).read_text()
