"""The tokens of SASL/OAUTHBEARER: from a file, from a function, or from an OpenID provider."""

from __future__ import annotations

import asyncio
import importlib
import inspect
import logging
import re
import threading
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from functools import partial, reduce
from typing import Any, Final

from aiokafka.abc import AbstractTokenProvider
from aiokafka.errors import KafkaConnectionError

from evframe.plugin import LogLimiter, comes_from_outside
from evframe_kafka_clients.logins import MECHANISM, extensions_of, reserved
from evframe_kafka_clients.provider import MOST_BYTES, Grant

log = logging.getLogger("evframe.kafka")
_TOKEN: Final = re.compile(r"[\x21-\x7e]+")
_KEPT_PART: Final = 0.8  # of its lifetime: a connection takes a while, and clocks differ


def tokens_of(options: Mapping[str, Any], limit_s: float) -> Tokens | None:
    """Return what has the tokens for connections with *options*, or None without OAUTHBEARER."""
    return Tokens(options, limit_s) if options.get("sasl_mechanism") == MECHANISM else None


class Tokens(AbstractTokenProvider):  # type: ignore[misc] # the library has no types
    """Gives the library a token for each connection.

    What may take long runs on a separate thread, of which there is one at most. A token of a provider is kept for
    most of its lifetime; a file is read and a function is called for every connection.

    Args:
        options: see `PROPERTIES`.
        limit_s: how long one token may take.
        clock: in seconds.
    """

    def __init__(self, options: Mapping[str, Any], limit_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._options = options
        self._limit_s = limit_s
        self._clock = clock
        self._lock = asyncio.Lock()
        self._running: asyncio.Future[Any] | None = None
        self._function: Callable[[], Any] | None = None
        self._kept: tuple[str, float] | None = None
        self._is_given = False  # since it was last said that a connection has failed
        self._limiter = LogLimiter()
        self.problem: str | None = None
        """The reason, while there is no token."""

    async def token(self) -> str:
        """Return a token.

        Raises:
            KafkaConnectionError: if there is none in time.
        """
        async with self._lock:
            if self._kept is not None and self._clock() < self._kept[1]:
                self._is_given = True
                return self._kept[0]
            try:
                async with asyncio.timeout(self._limit_s):
                    token, lifetime_s = await self._fetch()
                if len(token) > MOST_BYTES or not _TOKEN.fullmatch(token):
                    raise ValueError("expected one line of ASCII without blanks")
            except BaseException as error:  # whatever the function of a user raises
                if comes_from_outside(error):
                    raise
                self._log(error)
                self.problem = "no_token"
                raise KafkaConnectionError("no token") from None
            self.problem = None
            self._kept = (token, self._clock() + _KEPT_PART * lifetime_s) if lifetime_s else None
            self._is_given = True
            return token

    def failed(self) -> None:
        """Keep no token that was given before no connection could be made: brokers may have refused it."""
        if self._is_given:
            self._is_given, self._kept = False, None

    def extensions(self) -> dict[str, str]:
        """Return what is sent beside the token."""
        return extensions_of(self._options.get("oauth_extensions", ""))

    async def _fetch(self) -> tuple[str, float]:
        """Return a token, and the seconds for which it holds; 0 where nothing says so."""
        options = self._options
        if "oauth_file" in options:
            return str(await self._on_thread(partial(_read, options["oauth_file"]))), 0.0
        if "oauth_function" in options:
            return _text(await self._called(options["oauth_function"])), 0.0
        grant = Grant(options, self._limit_s)
        try:
            found: tuple[str, float] = await self._on_thread(grant)
        except BaseException:
            grant.end()
            raise
        return found

    async def _called(self, name: str) -> Any:
        """Return what the function of this *name* returns."""
        if self._function is None:
            self._function = await self._on_thread(partial(_find, name))
        if inspect.iscoroutinefunction(self._function):
            return await self._awaited(self._function)
        found = await self._on_thread(self._function)
        return await self._awaited(lambda: found) if inspect.isawaitable(found) else found

    async def _on_thread(self, call: Callable[[], Any]) -> Any:
        """Return the result of *call*; one that did not come back in time is waited for, not made again."""
        return await self._result(partial(_started, call))

    async def _awaited(self, call: Callable[[], Awaitable[Any]]) -> Any:
        """Return the result of the awaitable of *call*; one that ignores its cancellation is waited for by the next."""
        try:
            return await self._result(lambda: asyncio.ensure_future(_run(call)))
        except BaseException:
            if self._running is not None:
                self._running.cancel()
            raise

    async def _result(self, start: Callable[[], asyncio.Future[Any]]) -> Any:
        """Return the result of what was started before and is not over, or of what *start* starts; one at a time."""
        if self._running is not None:
            with suppress(Exception):  # which was another call's
                return await self._over()
        self._running = start()
        self._running.add_done_callback(_look_at)
        return await self._over()

    async def _over(self) -> Any:
        assert self._running is not None
        try:
            return await asyncio.shield(self._running)
        finally:
            if self._running.done():
                self._running = None

    def _log(self, error: BaseException) -> None:
        problem = "expected a token in time" if isinstance(error, TimeoutError) else _problem(error)
        source = reserved(self._options)
        repeated = self._limiter.due(problem)
        if repeated is not None:
            log.warning("no token", extra={"source": source, "problem": problem, "repeated": repeated})


def _started(call: Callable[[], Any]) -> asyncio.Future[Any]:
    """Return the future of *call*, which runs on a thread that does not hold up the end of the process."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Any] = loop.create_future()

    def run() -> None:
        try:
            settle = partial(_settle, future, call(), None)
        except BaseException as error:  # noqa: BLE001 it is raised where the token is waited for
            settle = partial(_settle, future, None, error)
        try:
            loop.call_soon_threadsafe(settle)
        except RuntimeError:  # the loop is closed
            return

    threading.Thread(target=run, name="evframe-kafka-token", daemon=True).start()
    return future


def _settle(future: asyncio.Future[Any], result: Any, error: BaseException | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(result)
    else:
        # A future takes no StopIteration.
        takes = isinstance(error, Exception) and not isinstance(error, StopIteration)
        future.set_exception(error if takes else RuntimeError(repr(error)))


async def _run(call: Callable[[], Awaitable[Any]]) -> Any:
    try:
        return await call()
    except Exception:
        raise
    except BaseException as error:
        if comes_from_outside(error):
            raise
        raise RuntimeError(repr(error)) from None  # which ends no loop


def _look_at(future: asyncio.Future[Any]) -> None:
    """Take the error of a call that nothing waits for any more."""
    if not future.cancelled():
        future.exception()


def _read(path: str) -> str:
    with open(path, encoding="ascii") as file:
        return file.read(MOST_BYTES + 1).strip()


def _find(text: str) -> Callable[[], Any]:
    module, _, path = text.partition(":")
    found = reduce(getattr, path.split("."), importlib.import_module(module))
    if not callable(found):
        raise TypeError(f"expected a function, got {text!r}")
    return found


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"expected a text from the function, got {type(value).__name__}")
    return value


def _problem(error: BaseException) -> str:
    """Return what an error says, without what the provider has sent."""
    if isinstance(error, UnicodeDecodeError):
        return "expected a file with one line of ASCII"
    return f"{type(error).__name__}: {error}"[:200]
