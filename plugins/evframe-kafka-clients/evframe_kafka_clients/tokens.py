"""The tokens of SASL/OAUTHBEARER: from a file, from a function, or from an OpenID provider."""

from __future__ import annotations

import asyncio
import importlib
import inspect
import json
import logging
import re
import ssl
import threading
import time
from base64 import b64encode
from collections.abc import Callable, Mapping
from functools import partial, reduce
from typing import Any, Final
from urllib.error import HTTPError
from urllib.parse import quote, urlencode
from urllib.request import (
    HTTPDefaultErrorHandler,
    HTTPErrorProcessor,
    HTTPHandler,
    HTTPSHandler,
    OpenerDirector,
    ProxyHandler,
    Request,
)

from aiokafka.abc import AbstractTokenProvider
from aiokafka.errors import KafkaConnectionError

from evframe.calls import comes_from_outside
from evframe.log_limit import LogLimiter
from evframe_kafka_clients.logins import MECHANISM, extensions_of, reserved

log = logging.getLogger("evframe.kafka")
_MOST_BYTES: Final = 65_536
_TOKEN: Final = re.compile(r"[\x21-\x7e]+")
_KEPT_PART: Final = 0.8  # of its lifetime: a connection takes a while, and clocks differ


def tokens_of(options: Mapping[str, Any], limit_s: float) -> Tokens | None:
    """Return what has the tokens for connections with *options*, or None without OAUTHBEARER."""
    return Tokens(options, limit_s) if options.get("sasl_mechanism") == MECHANISM else None


class Tokens(AbstractTokenProvider):  # type: ignore[misc] # the library has no types
    """Gives the library a token for each connection.

    What may take long runs on a thread of its own, of which there is one at most. A token of a provider is kept for
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
                return self._kept[0]
            try:
                async with asyncio.timeout(self._limit_s):
                    token, lifetime_s = await self._fetch()
                if len(token) > _MOST_BYTES or not _TOKEN.fullmatch(token):
                    raise ValueError("expected one line of ASCII without blanks")
            except BaseException as error:  # whatever the function of a user raises
                if comes_from_outside(error):
                    raise
                self._log(error)
                self.problem = "no_token"
                raise KafkaConnectionError("no token") from None
            self.problem = None
            self._kept = (token, self._clock() + _KEPT_PART * lifetime_s) if lifetime_s else None
            return token

    def extensions(self) -> dict[str, str]:
        """Return what is sent beside the token."""
        return extensions_of(self._options.get("oauth_extensions", ""))

    async def _fetch(self) -> tuple[str, float]:
        """Return a token, and the seconds for which it holds; 0 where nothing says so."""
        options = self._options
        if "oauth_file" in options:
            return str(await self._on_thread(partial(_read, options["oauth_file"]))), 0.0
        if "oauth_function" in options:
            if self._function is None:
                self._function = await self._on_thread(partial(_find, options["oauth_function"]))
            function = self._function
            found = function() if inspect.iscoroutinefunction(function) else self._on_thread(function)
            return _text(await found), 0.0
        token, lifetime_s = await self._on_thread(partial(_request, options, self._limit_s))
        return token, lifetime_s

    async def _on_thread(self, call: Callable[[], Any]) -> Any:
        """Return the result of *call*; one that did not come back in time is waited for, not made again."""
        if self._running is None:
            self._running = _started(call)
        try:
            return await asyncio.shield(self._running)
        finally:
            if self._running is not None and self._running.done():
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
    future.add_done_callback(_look_at)

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
        future.set_exception(error if isinstance(error, Exception) else RuntimeError(repr(error)))


def _look_at(future: asyncio.Future[Any]) -> None:
    """Take the error of a call that nothing waits for any more."""
    if not future.cancelled():
        future.exception()


def _read(path: str) -> str:
    with open(path, encoding="ascii") as file:
        return file.read(_MOST_BYTES + 1).strip()


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


def _opener(ca: str | None) -> OpenerDirector:
    """Return what makes requests; it follows no redirection, because another host would get the secret."""
    opener = OpenerDirector()
    https = HTTPSHandler(context=ssl.create_default_context(cafile=ca))
    for handler in (ProxyHandler(), HTTPHandler(), https, HTTPDefaultErrorHandler(), HTTPErrorProcessor()):
        opener.add_handler(handler)
    return opener


def _request(options: Mapping[str, Any], limit_s: float) -> tuple[str, float]:
    """Return the token that the provider gives for the id and the secret, and its lifetime in seconds."""
    login = f"{quote(options['oauth_client'], safe='')}:{quote(options['oauth_secret'], safe='')}"
    fields = {"grant_type": "client_credentials", "scope": options.get("oauth_scope", "")}
    body = urlencode({name: value for name, value in fields.items() if value})
    headers = {"Authorization": f"Basic {b64encode(login.encode()).decode()}", "Accept": "application/json"}
    request = Request(options["oauth_url"], body.encode(), headers)  # noqa: S310 the scheme is checked
    found = json.loads(_answer(_opener(options.get("oauth_ca")), request, limit_s))
    token, lifetime_s = found["access_token"], found.get("expires_in", 0)
    if not isinstance(token, str) or isinstance(lifetime_s, bool) or not isinstance(lifetime_s, int | float):
        raise TypeError("expected access_token and expires_in of the provider")
    return token, max(0.0, float(lifetime_s))


def _answer(opener: OpenerDirector, request: Request, limit_s: float) -> bytes:
    until = time.monotonic() + limit_s
    try:
        response = opener.open(request, timeout=limit_s)
    except HTTPError as error:
        error.close()
        raise ValueError(f"expected the status 200 of the provider, got {error.code}") from None
    answer = b""
    with response:
        while piece := response.read1(_MOST_BYTES):
            answer += piece
            if len(answer) > _MOST_BYTES or time.monotonic() > until:
                raise ValueError("expected a short answer of the provider in time")
    return answer


def _problem(error: BaseException) -> str:
    """Return what an error says, without what the provider has sent."""
    if isinstance(error, KeyError | json.JSONDecodeError):
        return "expected access_token of the provider"
    if isinstance(error, UnicodeDecodeError):
        return "expected a file with one line of ASCII"
    return f"{type(error).__name__}: {error}"[:200]
