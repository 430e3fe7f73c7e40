"""CloudEvents in a real Mosquitto become events."""

import uuid

import pytest
from brokers.messages import client
from carried import PARENT, ByParameter
from cloud_events import UNREADABLE, made, mqtt_messages
from evframe_cloudevents import CloudEventsPlugin
from evframe_cloudevents import Options as CloudEventsOptions
from evframe_mqtt_consumer import ConnectionOptions, MqttConsumer, Options
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from evframe.testing import Recorder, until

pytestmark = pytest.mark.timeout(120)


class Consuming:
    """A recorder of what a session consumes of its topic."""

    def __init__(self, mosquitto, **options):
        self._mosquitto = mosquitto
        self.topic = f"t-{uuid.uuid4().hex[:8]}"
        uri = f"mqtt://127.0.0.1:{mosquitto.port}"
        connection = ConnectionOptions(filters=[self.topic], client_id=self.topic, uri=uri, **options)
        plugins = {
            "mqtt-consumer": MqttConsumer(Options([connection])),
            "cloudevents": CloudEventsPlugin(CloudEventsOptions(type_prefix="org.example.")),
        }
        self.recorder = Recorder(plugins)

    async def publish(self, messages):
        await until(lambda: self.consumer.listed()["state"] == "consuming")
        async with client(self._mosquitto) as sender:
            for kind, attributes, body in messages:
                properties = Properties(PacketTypes.PUBLISH)
                if kind is not None:
                    properties.ContentType = kind
                properties.UserProperty = list(attributes.items())
                await sender.publish(self.topic, body, qos=1, properties=properties)

    @property
    def consumer(self):
        return self.recorder.plugin("mqtt-consumer").consumers[self.topic]


@pytest.mark.parametrize("ack", ["outcome", "at_once"])
async def test_messages_become_events(mosquitto, ack):
    """The type without the prefix is the event, its data are the parameters, of small and of large messages."""
    consuming = Consuming(mosquitto, ack=ack)
    tracing = ByParameter()
    consuming.recorder.interface.trace_by(tracing)
    async with consuming.recorder as recorder:
        recorder.register_event("E_N")
        recorder.register_event("com.example.é%41")
        parents = [PARENT.replace("b", letter) for letter in "bcd"]
        traced = [made(12 + number, traceparent=parent) for number, parent in enumerate(parents)]
        other = made(15, type="com.example.é%41")
        await consuming.publish(mqtt_messages(*map(made, range(12)), *traced, other))
        got = await recorder.wait_for(16, 60)
        await until(lambda: consuming.consumer.counts.acknowledged == 16)
    assert [params["n"] for name, params in got if name == "E_N"] == list(range(15))
    assert [params["n"] for name, params in got if name == "com.example.é%41"] == [15]
    contexts = [headers.get("traceparent") for headers in tracing.within_headers if headers]
    assert sorted({each for each in contexts if each}) == sorted(parents)


@pytest.mark.parametrize("event", [None, "E_BODY"])
async def test_what_cannot_be_read_is_treated_as_any_other_message(mosquitto, event):
    """A message that only says that it is a CloudEvent is refused, or a body where there is an event for these."""
    messages = [
        *(
            (kind, {name.removeprefix("ce_"): text for name, text in headers.items()}, body)
            for kind, headers, body in UNREADABLE
        ),
        (None, {}, b'{"specversion":"1.0","type":"E_N","source":"/a"}'),
        ("application/json", {"specversion": "1.0", "type": "E_N", "id": "1"}, b'{"n":1}'),
    ]
    consuming = Consuming(mosquitto, event=event)
    async with consuming.recorder as recorder:
        await consuming.publish(messages)
        await until(lambda: consuming.consumer.counts.acknowledged == len(messages))
        got = [] if event is None else await recorder.wait_for(len(messages), 60)
        assert consuming.consumer.intake.refused == ({"no_event": len(messages)} if event is None else {})
    bodies = [params["body"].encode("utf-8", "surrogateescape") for _, params in got]
    assert bodies == [body for _, _, body in messages if event is not None]
