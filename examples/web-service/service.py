"""A shop: refuses floods, has a back end keep each order, and raises events about that.

Run it in a folder with an `evframe.toml`::

    uvicorn --factory service:make_application --port 8000
"""

import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
from evframe_dispatcher import Dispatcher
from evframe_pike.middleware import AsgiMiddleware
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

import evframe


class Shop:
    """Answers requests, and has the interface for the events."""

    def __init__(self, events: evframe.EventInterface) -> None:
        events.register_event("E_ORDER_PLACED", params={"id": int, "customer": str, "back_end": str})
        self._events = events
        self._dispatcher: Dispatcher = events.plugin("dispatcher")
        self._numbers = itertools.count(1)

    @asynccontextmanager
    async def run(self, _: Starlette) -> AsyncIterator[None]:
        """Deliver events for as long as the application runs; what is queued at its end is delivered too."""
        timeout = aiohttp.ClientTimeout(total=2)
        async with self._events, aiohttp.ClientSession(timeout=timeout) as self._session:
            yield

    async def show(self, _: Request) -> Response:
        """Answer a look with a browser."""
        return PlainTextResponse("POST /orders\n")

    async def take_order(self, request: Request) -> Response:
        """Have the next back end that works keep an order, and raise the event."""
        try:
            customer = str((await request.json())["customer"])
        except (ValueError, LookupError, TypeError):
            return PlainTextResponse('expected {"customer": "..."}\n', status_code=400)
        number = next(self._numbers)
        for back_end in self._dispatcher.candidates(1):
            try:
                async with self._session.put(f"http://{back_end.attrs}/orders/{number}", data=customer) as answer:
                    answer.raise_for_status()
            except (aiohttp.ClientError, TimeoutError):
                self._dispatcher.mark(back_end, "p", "an order failed")
                continue
            order = {"id": number, "customer": customer, "back_end": back_end.attrs}
            self._events.raise_event("E_ORDER_PLACED", order)
            return JSONResponse(order, status_code=201)
        return PlainTextResponse("no back end works\n", status_code=503)


def make_application(configuration: str = "evframe.toml") -> Starlette:
    """Return the application, with what the configuration says."""
    events = evframe.EventInterface.from_toml(configuration)
    shop = Shop(events)
    return Starlette(
        routes=[Route("/", shop.show), Route("/orders", shop.take_order, methods=["POST"])],
        middleware=[Middleware(AsgiMiddleware, events.plugin("pike"))],
        lifespan=shop.run,
    )
