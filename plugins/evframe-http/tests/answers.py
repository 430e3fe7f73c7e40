"""What the server of the tests answers with: the module that imports aiohttp."""

import asyncio

from aiohttp import web
from evframe_http.connections import HttpServer, hosts_of, joined


async def answer(request):
    """Say what the request has named; one for /wait has no end."""
    if request.path == "/wait":
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"first")
        await asyncio.Event().wait()
    return web.json_response({"hosts": hosts_of(request), "origin": joined(request, "Origin"), "path": request.path})


def server(warn, on_closed):
    """Return a server."""
    return HttpServer(answer, warn, lambda: 30.0, on_closed)
