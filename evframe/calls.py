"""Calls of code that others have written: whatever it raises is a failure of that call, and ends nothing else."""

from __future__ import annotations

import asyncio
import dis
import functools
import inspect
import signal
import threading
import traceback
from collections.abc import Awaitable, Coroutine, Iterator
from contextlib import contextmanager
from types import CodeType, TracebackType
from typing import Any, Final, TypeVar

from evframe.exceptions import PluginError

_Result = TypeVar("_Result")
_Error = TypeVar("_Error", bound=BaseException)
_RAISE: Final = dis.opmap["RAISE_VARARGS"]


def comes_from_outside(error: BaseException) -> bool:
    """Return whether *error* was thrown into the code that was called, which did not raise it.

    Three things do that: a signal's handler, such as Ctrl-C's; the cancellation of the task that
    runs; and the close of a coroutine. Whoever catches such an error has to raise it again.
    """
    if isinstance(error, Exception):
        return False
    if isinstance(error, asyncio.CancelledError):
        return _is_being_cancelled()
    if isinstance(error, GeneratorExit):
        return not _is_raised_by_a_statement(error.__traceback__)
    return threading.current_thread() is threading.main_thread() and _is_of_a_signal(error)


def without_tracebacks(error: _Error) -> _Error:
    """Drop the traceback of an error, and of what led to it, and return it.

    Libraries keep their errors in cycles, and their tracebacks would keep frames of ours, with what these hold.
    """
    led: list[BaseException | None] = [error]
    seen = set[int]()
    while led:
        each = led.pop()
        if each is not None and id(each) not in seen:  # errors may lead to each other
            seen.add(id(each))
            each.__traceback__ = None  # one that was never raised has none, but what led to it may have
            led += [each.__cause__, each.__context__]
    return error


def _is_being_cancelled() -> bool:
    try:
        task = asyncio.current_task()
    except RuntimeError:  # on a thread without a loop
        return False
    return task is not None and task.cancelling() > 0


def _is_of_a_signal(error: BaseException) -> bool:
    """Return whether the handler of a signal raised *error*; handlers run in the midst of any code."""
    handlers = {number: signal.getsignal(number) for number in signal.valid_signals()}
    codes = {_code_of(handler) for handler in handlers.values() if callable(handler)}
    if any(frame.f_code in codes for frame, _ in traceback.walk_tb(error.__traceback__)):
        return True
    # Python's own handler of Ctrl-C has no frame.
    is_default = handlers[signal.SIGINT] is signal.default_int_handler
    return isinstance(error, KeyboardInterrupt) and is_default and not _is_raised_by_a_statement(error.__traceback__)


def _code_of(handler: Any) -> CodeType | None:
    while isinstance(handler, functools.partial):
        handler = handler.func
    if not inspect.isroutine(handler):
        handler = type(handler).__call__
    return getattr(inspect.unwrap(handler), "__code__", None)


def _is_raised_by_a_statement(trace: TracebackType | None) -> bool:
    """Return whether the innermost frame of *trace* was at a ``raise``."""
    if trace is None:
        return False
    while trace.tb_next is not None:
        trace = trace.tb_next
    return trace.tb_frame.f_code.co_code[trace.tb_lasti] == _RAISE


def failure(error: BaseException) -> Exception:
    """Return *error* as an exception that ends no event loop and no thread."""
    if isinstance(error, Exception):
        return error
    contained = PluginError(f"expected a result or an Exception, got {error!r}")
    contained.__cause__ = error
    return contained


@contextmanager
def foreign_call(what: str) -> Iterator[None]:
    """Turn what ends more than a call, such as SystemExit, into a `PluginError` that names *what* was called."""
    try:
        yield
    except Exception:
        raise
    except BaseException as error:
        if comes_from_outside(error):
            raise
        raise PluginError(f"{what}: expected a result or an Exception, got {error!r}") from error


async def contained(work: Awaitable[_Result]) -> _Result:
    """Await *work*, for a task: whatever it raises is an exception of that task, and ends no event loop.

    Close *work* when the task is over: a task that was cancelled early has not begun it.
    """
    try:
        return await work
    except (asyncio.CancelledError, SystemExit, KeyboardInterrupt) as error:
        if comes_from_outside(error):
            raise
        raise failure(error) from error
    finally:
        del work  # its error may have a traceback with this frame


def contained_task(work: Awaitable[_Result]) -> asyncio.Future[_Result]:
    """Return *work* as a task of the running loop, `contained`; a future stays as it is."""
    if asyncio.isfuture(work):
        return work
    task = asyncio.get_running_loop().create_task(contained(work), name=getattr(work, "__qualname__", None))
    if isinstance(work, Coroutine):
        task.add_done_callback(lambda _: work.close())
    return task
