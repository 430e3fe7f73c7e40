"""Events that are declared by classes, from the raise to the stream."""

import asyncio
import json
import logging
import subprocess
import sys

import pytest
from mypy import api

import evframe
from evframe import EventType, Parameter, ParameterError, UnknownEventError, param
from evframe.plugin import EventCollector
from evframe.testing import MemoryTransport, until


class Blocked(EventType, name="E_PIKE_BLOCKED"):
    """An address has reached its limit."""

    ip: str = param(summary="Blocked source address.")
    hits: int = 1


class Left(EventType, name="E_LEFT"):
    who: str
    why: str | None = None
    tags: list[str] | None = None


class Hashless:
    """A value whose hash is broken."""

    def __hash__(self):
        raise RuntimeError("no hash")


def interface(**plugins):
    memory = MemoryTransport()
    events = evframe.EventInterface(plugins={"memory": memory, **plugins})
    for each in (Blocked, Left):
        events.register_event(each)
    return events, memory


async def test_raise_and_listen():
    """An instance is raised and arrives as an instance; its bytes are those of a mapping."""
    events, memory = interface()
    async with events, events.listen(Blocked) as stream:
        events.subscribe_event("E_PIKE_BLOCKED", "memory:a")
        events.raise_event(Blocked("192.0.2.1", 7))
        events.raise_event("E_PIKE_BLOCKED", {"ip": "192.0.2.1", "hits": 7})
        assert [await anext(stream) for _ in range(2)] == [Blocked("192.0.2.1", 7)] * 2
        await until(lambda: len(memory.delivered["a"]) == 2)
    first, second = memory.delivered["a"]
    assert first.payload == second.payload
    assert first.params == {"ip": "192.0.2.1", "hits": 7}


async def test_each_way_to_raise():
    """Every verb that raises takes an instance."""
    events, memory = interface()
    async with events:
        events.subscribe_event("E_LEFT", "memory:a")
        events.raise_event(Left("a"))
        assert [each.reason for each in await events.raise_event_and_wait(Left("b", tags=["x"]))] == [None]
        outcomes = []
        events.raise_event_and_tell(Left("c", "d"), None, outcomes.append)
        await until(lambda: outcomes)
        waiting = evframe.start_in_thread(plugins={"memory": MemoryTransport()})
        with waiting:
            waiting.register_event(Left)
            waiting.raise_event(Left("e"))
            assert waiting.raise_event_and_wait(Left("e")) == []
    assert [event.params for event in memory.delivered["a"]] == [
        {"who": "a"},
        {"who": "b", "tags": ["x"]},
        {"who": "c", "why": "d"},
    ]


async def test_wait_for_one():
    """The next event of a class is an instance."""
    events, _ = interface()
    async with events:
        waiting = asyncio.create_task(events.wait_for_event(Left, where={"who": "b"}))
        await asyncio.sleep(0)
        events.raise_event(Left("a"))
        events.raise_event(Left("b"))
        assert await waiting == Left("b")


async def test_values_are_checked():
    """A raise with a value of another type is refused as that of a mapping is, whether there are subscribers or not."""
    events, memory = interface()
    async with events:
        for _ in range(2):
            with pytest.raises(ParameterError, match="parameter 'ip': expected str, got 7"):
                events.raise_event(Blocked(7))
            events.subscribe_event("E_PIKE_BLOCKED", "memory:a")
        with pytest.raises(ParameterError, match="parameter 'ip': expected str, got"):
            events.raise_event(Blocked(Hashless()))
        with pytest.raises(ParameterError, match="lone surrogate"):
            events.raise_event(Blocked("\ud800"))
        events.raise_event(Blocked(None, 2**70))  # null fits every type
        await until(lambda: memory.delivered.get("a"))
    assert memory.delivered["a"][0].payload.endswith(b'"params":{"ip":null,"hits":1180591620717411303424}}')


async def test_class_that_is_not_registered():
    """A class whose event nobody has registered is unknown; a class without a name can be neither registered nor raised."""

    class Base(EventType):
        x: int

    class Other(Base, name="E_OTHER"):
        y: int

    events, _ = interface()
    async with events:
        with pytest.raises(UnknownEventError, match="E_OTHER"):
            events.raise_event(Other(1, 2))
        for mistaken in (Blocked("a"), Blocked, Left("a", tags=["x"]), Blocked([]), Blocked(Hashless())):
            with pytest.raises(UnknownEventError):
                events.raise_event(mistaken, {"ip": "a"})
            with pytest.raises(UnknownEventError):
                events.raise_event_and_tell(mistaken, {"ip": "a"}, print)
            with pytest.raises(UnknownEventError):
                await events.raise_event_and_wait(mistaken, {"ip": "a"})
        with pytest.raises(UnknownEventError):
            events.raise_event(Blocked)
        for wrong in (lambda: events.register_event(Base), lambda: events.raise_event(Base(1))):
            with pytest.raises(TypeError, match="expected a class of events with a name"):
                wrong()


async def test_event_that_another_declares(caplog):
    """With another declaration of its event an instance is checked by that; what fits no class is left out of the stream."""
    events = evframe.EventInterface(plugins={"memory": MemoryTransport()})
    events.register_event(
        "E_PIKE_BLOCKED", {"ip": str, "hits": Parameter(int, optional=True), "x": Parameter(int, optional=True)}
    )
    async with events, events.listen(Blocked) as stream:
        events.raise_event("E_PIKE_BLOCKED", {"ip": "a", "hits": 1, "x": 2})
        events.raise_event(Blocked("b"))
        with caplog.at_level(logging.WARNING):
            assert await anext(stream) == Blocked("b")
    assert "an event does not fit its class" in caplog.text


def test_plugins_declare_by_classes():
    """A plugin declares its events by their classes."""
    collector = EventCollector()
    collector.add(Blocked)
    assert collector.events["E_PIKE_BLOCKED"].summary == "An address has reached its limit."


@pytest.mark.parametrize("beside", [{"params": {"ip": str}}, {"params": {}}, {"summary": "x"}, {"enforced": False}])
def test_a_class_is_declared_alone(beside):
    """What stands beside a class would have no effect, and is an error."""
    events = evframe.EventInterface(plugins={})
    for register in (events.register_event, EventCollector().add):
        with pytest.raises(TypeError, match="Blocked: expected a class alone"):
            register(Blocked, **beside)
    with pytest.raises(TypeError, match="expected a class alone"):
        EventCollector().add(Blocked, is_meta=True)
    events.register_event(Blocked, None, summary="", enforced=True)


def test_event_from_another_thread():
    """An instance may be raised on any thread."""
    memory = MemoryTransport()
    with evframe.start_in_thread(plugins={"memory": memory}) as events:
        events.register_event(Blocked)
        events.subscribe_event("E_PIKE_BLOCKED", "memory:a")
        events.raise_event(Blocked("a"))
        events.raise_event_and_wait(Blocked("b"))
    assert [json.loads(event.payload)["params"]["ip"] for event in memory.delivered["a"]] == ["a", "b"]


MISTAKES = """
from evframe import EventInterface, EventType, Event

class Blocked(EventType, name="E_PIKE_BLOCKED"):
    ip: str
    hits: int = 1

async def use(events: EventInterface) -> None:
    events.register_event(Blocked)
    events.raise_event(Blocked("a", 2))
    events.raise_event(Blocked(ip=1))  # E: Argument "ip" to "Blocked" has incompatible type "int"; expected "str"
    events.raise_event(Blocked())  # E: Missing positional argument "ip" in call to "Blocked"
    events.raise_event(Blocked("a", port=1))  # E: Unexpected keyword argument "port" for "Blocked"
    Blocked("a").ip = "b"  # E: Property "ip" defined in "Blocked" is read-only
    async with events.listen(Blocked) as stream:
        async for event in stream:
            event.ip.upper()
            event.port  # E: "Blocked" has no attribute "port"
    one: Blocked = await events.wait_for_event(Blocked)
    other: Event = await events.wait_for_event("E_X")
    wrong: Event = await events.wait_for_event(Blocked)  # E: Incompatible types in assignment (expression has type "Blocked", variable has type "Event")
    events.listen(int)  # E: Value of type variable "_Typed" of "listen" of "Raising" cannot be "int"
"""


EXPECTED = {
    number: line.partition("# E: ")[2] for number, line in enumerate(MISTAKES.splitlines(), 1) if "# E: " in line
}


@pytest.fixture
def service(tmp_path):
    """Return a file with the lines."""
    file = tmp_path / "service.py"
    file.write_text(MISTAKES)
    return file


@pytest.fixture
def recursion_limit():
    """Restore the limit of recursion, which mypy raises for the whole process."""
    before = sys.getrecursionlimit()
    yield
    sys.setrecursionlimit(before)


@pytest.mark.usefixtures("recursion_limit")
def test_mypy_finds_each_mistake(service):
    """Mypy refuses each wrong line, and no other."""
    out, _, _ = api.run(
        ["--strict", "--no-error-summary", "--hide-error-context", "--cache-dir", str(service.parent), str(service)]
    )
    found = {int(line.split(":")[1]): line for line in out.splitlines() if ": error: " in line}
    assert found.keys() == EXPECTED.keys(), out
    for number, text in EXPECTED.items():
        assert text in found[number]


def test_pyright_finds_each_mistake(service):
    """Pyright refuses the same lines."""
    command = [sys.executable, "-m", "basedpyright", "--level", "error", "--outputjson", "--pythonpath", sys.executable]
    out = subprocess.run([*command, service], cwd=service.parent, check=False, stdout=subprocess.PIPE).stdout
    answer = json.loads(out)  # with what it has found, its exit code is 1
    found = {each["range"]["start"]["line"] + 1: each["message"] for each in answer["generalDiagnostics"]}
    assert found.keys() == EXPECTED.keys(), found
