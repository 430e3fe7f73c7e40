"""Modules that are imported at their first use."""

import asyncio
import sys

import pytest
from evframe_wire.late import LateModule


@pytest.fixture
def slow(tmp_path, monkeypatch):
    """Give the name of a module whose import waits for the test."""
    (tmp_path / "slow_library.py").write_text("import threading\nGATE = threading.Event()\n")
    (tmp_path / "slow_module.py").write_text("from slow_library import GATE\nassert GATE.wait(60)\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield "slow_module"
    for name in ("slow_library", "slow_module"):
        sys.modules.pop(name, None)


async def test_callers_get_a_module_in_their_order(slow):
    """The loop works on while a module is imported; each caller gets it in turn, and no later one overtakes it."""
    import slow_library

    late, order = LateModule(slow), []

    async def use(number):
        module = await late.get()
        assert module is sys.modules[slow]
        order.append(number)
        if number == 0:
            tasks.extend(asyncio.create_task(use(later)) for later in range(10, 13))

    tasks = [asyncio.create_task(use(number)) for number in range(5)]
    await asyncio.sleep(0)
    assert not order
    tasks[2].cancel()
    slow_library.GATE.set()
    await asyncio.wait(tasks)
    await asyncio.gather(*tasks[5:])
    assert order == [0, 1, 3, 4, 10, 11, 12]


async def test_a_caller_that_is_cancelled_leaves_the_import_to_the_next(slow):
    """The module is imported although the first caller has gone."""
    import slow_library

    late = LateModule(slow)
    first = asyncio.create_task(late.get())
    second = asyncio.create_task(late.get())
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.wait({first})
    slow_library.GATE.set()
    assert await second is sys.modules[slow]


async def test_a_module_that_cannot_be_imported():
    """Each caller gets the error, and a later one tries again."""
    late = LateModule("evframe.no_such_module")
    for _ in range(2):
        with pytest.raises(ImportError, match="no_such_module"):
            await late.get()
