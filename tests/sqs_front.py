"""A server before that of moto, which answers some requests by itself as Amazon SQS does, and forwards the others."""

import json

import aiohttp
from aiohttp import web

LOST = "lost"
"""An answer of the server of moto that does not arrive."""


def error(code, status=400, headers=None):
    """Return the answer that refuses a whole request."""
    return status, {"__type": f"com.amazonaws.sqs#{code}", "message": "by the front"}, headers or {}


class Front:
    """Forwards requests; `answer` gets the name of the action and its arguments, and returns an answer, `LOST` or None.

    It may change the arguments, and `failed` has entries that are added to an answer to a batch.
    """

    def __init__(self, port, answer):
        self._target, self._answer = f"http://127.0.0.1:{port}/", answer
        self.requests = []

    async def __aenter__(self):
        self._session = aiohttp.ClientSession()
        self._runner = web.ServerRunner(web.Server(self._handle), shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(self, *_):
        await self._runner.cleanup()
        await self._session.close()

    async def _handle(self, request):
        action = request.headers["X-Amz-Target"].partition(".")[2]
        arguments = json.loads(await request.read())
        self.requests.append((request, arguments))
        failed = []
        answer = self._answer(action, arguments, failed)
        if answer is not None and answer != LOST:
            status, body, headers = answer
            return web.json_response(body, status=status, headers=headers)
        kept = ("X-Amz-Target", "Authorization", "Content-Type", "X-Amz-Date")
        headers = {name: request.headers[name] for name in kept}
        async with self._session.post(self._target, json=arguments, headers=headers) as forwarded:
            body = await forwarded.json(content_type=None)
        if answer == LOST:
            request.transport.abort()
        if failed:
            body["Failed"] = body.get("Failed", []) + failed
        return web.json_response(body, status=forwarded.status)
