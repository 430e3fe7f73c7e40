"""Calls of foreign code, such as plugins and routes: any error is a failure of that call alone."""

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
    """Return whether *error* was thrown into the called code, which did not raise it.

    Three things throw errors into code: a signal's handler, such as Ctrl-C's; the cancellation of the
    running task; and the close of a coroutine. Code that catches such an error has to raise it again.
    """
    if isinstance(error, Exception):
        return False
    if isinstance(error, asyncio.CancelledError):
        return _is_being_cancelled()
    if isinstance(error, GeneratorExit):
        return not _is_raised_by_a_statement(error.__traceback__)
    return threading.current_thread() is threading.main_thread() and _is_of_a_signal(error)


def without_tracebacks(error: _Error) -> _Error:
    """Drop the traceback of an error, and of its causes, and return the error.

    Libraries keep their errors in cycles. The tracebacks would keep frames of evframe alive, with all their objects.
    """
    errors: list[BaseException | None] = [error]
    seen = set[int]()
    while errors:
        each = errors.pop()
        if each is not None and id(each) not in seen:  # causes of errors can form a cycle
            seen.add(id(each))
            each.__traceback__ = None  # an error that was never raised has none, but its causes may have one
            errors += [each.__cause__, each.__context__]
    return error


def _is_being_cancelled() -> bool:
    try:
        task = asyncio.current_task()
    except RuntimeError:  # on a thread without a loop
        return False
    return task is not None and task.cancelling() > 0


def _is_of_a_signal(error: BaseException) -> bool:
    """Return whether the handler of a signal raised *error*; a handler can interrupt any code."""
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


@contextmanager
def foreign_call(what: str) -> Iterator[None]:
    """Turn an error that is no `Exception`, such as SystemExit, into a `PluginError` that names *what* was called."""
    try:
        yield
    except Exception:
        raise
    except BaseException as error:
        if comes_from_outside(error):
            raise
        raise PluginError(f"{what}: expected a result or an Exception, got {error!r}") from error


async def contained(work: Awaitable[_Result]) -> _Result:
    """Await *work*, for a task: any error is an exception of that task, and ends no event loop.

    The caller closes *work* when the task is over, because a task that was cancelled early has not begun *work*.
    """
    try:
        return await work
    except (asyncio.CancelledError, SystemExit, KeyboardInterrupt) as error:
        if comes_from_outside(error):
            raise
        raise PluginError(f"expected a result or an Exception, got {error!r}") from error
    finally:
        del work  # the traceback of its error may have this frame, and would form a cycle


def contained_task(work: Awaitable[_Result]) -> asyncio.Future[_Result]:
    """Return a task of the running loop for *work*, `contained`; a future is returned unchanged."""
    if asyncio.isfuture(work):
        return work
    task = asyncio.get_running_loop().create_task(contained(work), name=getattr(work, "__qualname__", None))
    if isinstance(work, Coroutine):
        task.add_done_callback(lambda _: work.close())
    return task
