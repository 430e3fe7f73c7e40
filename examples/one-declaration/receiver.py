"""A web server that takes signed webhooks."""

import os

from aiohttp import web
from standardwebhooks import Webhook, WebhookVerificationError

WEBHOOK = Webhook(os.environ["WEBHOOK_SECRET"])


async def take(request: web.Request) -> web.Response:
    """Print an event, if its signature is that of the service."""
    try:
        event = WEBHOOK.verify(await request.read(), dict(request.headers))
    except WebhookVerificationError:
        return web.Response(status=401)
    print("webhook", event["method"], event["params"], flush=True)
    return web.Response(status=204)


app = web.Application()
app.add_routes([web.post("/calls", take)])

if __name__ == "__main__":
    web.run_app(app, host="127.0.0.1", port=9000, print=None)
