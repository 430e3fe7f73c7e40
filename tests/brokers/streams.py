"""Streams of a NATS: made, and read."""

import json
from contextlib import asynccontextmanager

import nats
from nats.js.api import AckPolicy, ConsumerConfig


@asynccontextmanager
async def jetstream_of(broker, **options):
    """Yield a JetStream on another connection."""
    async with await nats.connect(f"nats://127.0.0.1:{broker.port}", **options) as client:
        yield client.jetstream()


async def make_stream(broker, name, **config):
    """Make a stream in a file, with the subjects below its name."""
    async with jetstream_of(broker) as jetstream:
        await jetstream.add_stream(name=name, **{"subjects": [f"{name}.>"], **config})


async def messages_in(broker, name, **options):
    """Return all messages of a stream, and remove it."""
    async with jetstream_of(broker, **options) as jetstream:
        count = (await jetstream.stream_info(name)).state.messages
        found = []
        # Others are sent again after a while, and no more than a thousand of them at once.
        config = ConsumerConfig(ack_policy=AckPolicy.NONE)
        reader = await jetstream.pull_subscribe("", stream=name, config=config)
        while len(found) < count:
            found += await reader.fetch(min(1000, count - len(found)), timeout=30)
        await jetstream.delete_stream(name)
    return found


async def numbers_in(broker, name):
    """Return the first parameter of every event in a stream, and remove it."""
    return [json.loads(message.data)["params"][0] for message in await messages_in(broker, name)]
