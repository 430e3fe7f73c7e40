"""Messages of a Mosquitto, read by the client library aiomqtt: as they come, or kept in a session."""

import asyncio
import json
from contextlib import asynccontextmanager

import aiomqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

LIMIT_S = 60
END = b"the end"


def client(broker, name=None, **options):
    """Return a client of MQTT 5; with *name*, one whose session is kept for an hour."""
    properties = Properties(PacketTypes.CONNECT)
    if name is not None:
        properties.SessionExpiryInterval = 3600
    return aiomqtt.Client(
        "127.0.0.1",
        broker.port,
        identifier=name,
        clean_start=name is None,
        protocol=aiomqtt.ProtocolVersion.V5,
        properties=properties,
        max_inflight_messages=20,
        **options,
    )


@asynccontextmanager
async def messages_of(broker, topic):
    """Yield a function that returns the next messages of *topic*, so many."""
    async with client(broker) as found:
        await found.subscribe(topic, qos=1)

        async def take(count):
            async with asyncio.timeout(LIMIT_S):
                return [await anext(found.messages) for _ in range(count)]

        yield take


async def keep(broker, name, topic=None):
    """Make a session that keeps the messages of *topic*, which is the name of the session without one."""
    async with client(broker, name) as found:
        await found.subscribe(topic or name, qos=1)


async def bodies_in(broker, name):
    """Return the bodies of all messages that the session *name* has kept, in their order."""
    async with client(broker) as sender:
        await sender.publish(name, END, qos=1)
    bodies, time = [], asyncio.get_running_loop().time
    async with asyncio.timeout(LIMIT_S) as limit, client(broker, name) as found:
        async for message in found.messages:
            if message.payload == END:
                return bodies
            bodies.append(message.payload)
            limit.reschedule(time() + LIMIT_S)  # of each message: a long trial has many


async def numbers_in(broker, name):
    """Return the first parameter of every event that the session *name* has kept."""
    return [json.loads(body)["params"][0] for body in await bodies_in(broker, name)]
