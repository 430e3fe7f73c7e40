"""An interface for services without a running event loop."""

from __future__ import annotations

import asyncio
import atexit
import logging
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from functools import partial, wraps
from inspect import iscoroutinefunction
from types import TracebackType
from typing import Any, Concatenate, Final, ParamSpec, Self, TypeVar, overload

from evframe_declarations import EventType
from evframe_options import check_timeout

from evframe.config import Config
from evframe.delivery.statistics import Counters
from evframe.interface import EventInterface

log = logging.getLogger("evframe.interface")
_SPARE_S: Final = 5.0
_Params = ParamSpec("_Params")
_Result = TypeVar("_Result")


@overload
def _on_loop(
    verb: Callable[Concatenate[EventInterface, _Params], Coroutine[Any, Any, _Result]],
) -> Callable[Concatenate[ThreadedInterface, _Params], _Result]: ...
@overload
def _on_loop(
    verb: Callable[Concatenate[EventInterface, _Params], _Result],
) -> Callable[Concatenate[ThreadedInterface, _Params], _Result]: ...
def _on_loop(verb: Any) -> Any:
    """Return *verb* of an interface for any thread, which waits for the result."""

    @wraps(verb)
    def call(self: ThreadedInterface, /, *args: Any, **options: Any) -> Any:
        return self._run_on_loop(partial(verb, self._interface, *args, **options), waits=iscoroutinefunction(verb))

    return call


class ThreadedInterface:
    """An `EventInterface` on a separate thread, with the same calls for any other thread.

    A call waits for the interface's thread, except for `raise_event`. What the interface awaits blocks the calling
    thread.
    """

    def __init__(self, config: Config | None = None, *, start_timeout_s: float = 30.0, **options: Any) -> None:
        check_timeout("start_timeout_s", start_timeout_s)
        self._interface = EventInterface(config, **options)
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._started = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="evframe", daemon=True)
        self._thread.start()
        if not self._started.wait(start_timeout_s):
            raise TimeoutError(f"start_timeout_s: expected a start within {start_timeout_s} s, got none")
        if self._error is not None:
            raise self._error
        # The thread is a daemon, so that it still runs when the functions of atexit are called.
        atexit.register(self._close_at_exit)

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(self._serve())
        except BaseException as error:  # noqa: BLE001 raised again in the calling thread
            self._error = error
        finally:
            self._loop.close()
            self._started.set()

    async def _serve(self) -> None:
        async with self._interface:
            self._started.set()
            await self._stop.wait()

    def _run_on_loop(self, verb: Callable[[], Any], *, waits: bool) -> Any:
        if threading.current_thread() is self._thread:
            if waits:
                raise RuntimeError("expected a thread other than the interface's own, which would wait for itself")
            return verb()  # such as in a route
        if not self._thread.is_alive():
            raise RuntimeError("expected an interface that runs, got one that was closed")

        async def work() -> Any:
            return await verb() if waits else verb()

        return asyncio.run_coroutine_threadsafe(work(), self._loop).result()

    register_event = _on_loop(EventInterface.register_event)
    subscribe_event = _on_loop(EventInterface.subscribe_event)
    unsubscribe_event = _on_loop(EventInterface.unsubscribe_event)
    raise_event_and_wait = _on_loop(EventInterface.raise_event_and_wait)
    wait_for_event = _on_loop(EventInterface.wait_for_event)

    @property
    def statistics(self) -> list[Counters]:
        """See `EventInterface.statistics`."""
        counters: list[Counters] = self._run_on_loop(lambda: self._interface.statistics, waits=False)
        return counters

    def plugin(self, name: str) -> Any:
        """See `EventInterface.plugin`; the plugin documents which of its methods other threads may call."""
        return self._interface.plugin(name)

    def raise_event(self, name: str | EventType, params: Any = None) -> None:
        """See `EventInterface.raise_event`; does not wait for the interface's thread."""
        self._interface.raise_event(name, params)

    def close(self) -> None:
        """Deliver the queued events within the drain time, and end the thread."""
        atexit.unregister(self._close_at_exit)
        self._end(None)

    def _end(self, timeout_s: float | None) -> None:
        if self._thread.is_alive():
            with suppress(RuntimeError):  # the loop may be closed at the same moment
                self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join(timeout_s)

    def _close_at_exit(self) -> None:
        """Close an interface that is still open, and log the lost events."""
        if not self._thread.is_alive():
            return
        drain_s = self._interface.core.drain_timeout_s
        self._end(min(2 * drain_s + 2 * max(1.0, drain_s) + _SPARE_S, threading.TIMEOUT_MAX))
        if self._thread.is_alive():
            log.error("the interface has not ended in time", extra={"drain_timeout_s": drain_s})
            return
        for counters in self._interface.statistics:
            if counters.reasons.get("shutdown"):
                log.error("events were not delivered in time", extra={"socket": counters.socket, **counters.reasons})

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def start_in_thread(config: Config | None = None, **options: Any) -> ThreadedInterface:
    """Start an interface on a separate thread; call `close` or leave its `with` block to end it.

    An interface that is still open when the process ends is closed then, as `close` does, and the
    lost events are logged. A process that is killed, or ends through `os._exit`, loses the waiting events.

    Args:
        config: as for `EventInterface`.
        options: as for `EventInterface`.
    """
    return ThreadedInterface(config, **options)
