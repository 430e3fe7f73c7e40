"""The contract of every source of events."""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar, Final

from evframe.interface import EventInterface
from evframe.plugins.commands import Command, CommandError
from evframe.testing.recording import Recorder

_LIMIT_S: Final = 30.0


class SourceContract:
    """What every source has to do; subclass it, say how it is made and what makes it raise.

    ::

    class TestMine(SourceContract):
        name = "mine"

        def source(self):
            return Mine(Options(limit=2))

        async def provoke(self, recorder):
            recorder.plugin("mine").count("x")
            recorder.plugin("mine").count("x")
    """

    name: ClassVar[str] = "under-test"
    """The plugin's name."""
    never: ClassVar[frozenset[str]] = frozenset()
    """Declared events that `provoke` does not bring about, because somebody else raises them."""

    def source(self) -> Any:
        """Return a new plugin object."""
        raise NotImplementedError

    async def provoke(self, recorder: Recorder) -> None:
        """Have every declared event raised at least once."""
        raise NotImplementedError

    def _interface(self) -> EventInterface:
        return EventInterface(plugins={self.name: self.source()})

    def test_every_event_is_declared(self) -> None:
        """Each event has parameters with types and a sentence about each, and one about itself."""
        events = list(self._interface().events)
        assert events, "expected at least one event"
        for event in events:
            assert event.declaration is not None, f"{event.name}: expected declared parameters"
            assert event.declaration.summary, f"{event.name}: expected a summary"
            for name, parameter in event.declaration.params.items():
                assert parameter.summary, f"{event.name}, parameter {name!r}: expected a summary"

    async def test_every_event_is_raised(self) -> None:
        """What is declared happens, with parameters that fit the declaration."""
        async with asyncio.timeout(_LIMIT_S), Recorder({self.name: self.source()}) as recorder:
            await self.provoke(recorder)
            declared = {event.name: event.declaration for event in recorder.interface.events}
            wanted = set(declared) - self.never
            raised: set[str] = set()
            while not wanted <= raised:
                for name, params in await recorder.events():
                    declaration = declared[name]
                    if declaration is not None and declaration.enforced:
                        declaration.check(params)
                    raised.add(name)
                await asyncio.sleep(0.002)

    async def test_no_subscriber(self) -> None:
        """Without a subscriber it works as well, and leaves nothing behind."""
        before = asyncio.all_tasks()
        async with asyncio.timeout(_LIMIT_S), self._interface():
            await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert asyncio.all_tasks() - before == set()

    async def test_commands(self) -> None:
        """Each management command says what it does, and answers parameters that do not fit with an error."""
        async with asyncio.timeout(_LIMIT_S), self._interface() as events:
            for command in events.commands:
                assert command.help, f"{command.name}: expected a help text"
                most = max(len(recipe) for recipe in command.recipes)
                code = _error(command, ["x"] * (most + 1))
                assert code == -32602, f"{command.name}: expected -32602 for too many parameters, got {code}"
                for recipe in command.recipes:
                    if recipe:
                        code = _error(command, {name: {"no": "value"} for name in recipe})
                        assert code != -32000, f"{command.name}: expected an error that names a parameter of {recipe}"


def _error(command: Command, params: Any) -> int | None:
    """Return the code of the error that a request is answered with, or None."""
    interface = ("",) if command.needs_interface else ()
    try:
        command.run(command.params_of(params), *interface)
    except CommandError as error:
        return error.code
    except Exception:  # noqa: BLE001 any error of a command is the answer -32000
        return -32000
    return None
