"""Publications of CloudEvents."""

from __future__ import annotations

from evframe_cloudevents import DATA_TYPE, STRUCTURED_TYPE, Formats, id_of

from evframe import Batch
from evframe_rabbitmq.address import RabbitSocket
from evframe_rabbitmq.attribute_frames import NAMES
from evframe_rabbitmq.channel import Publication
from evframe_rabbitmq.frames import Own


def make_cloud_events(publication: Publication, formats: Formats, target: RabbitSocket, batch: Batch) -> None:
    """Have the messages of *publication* be CloudEvents if the socket has one of their formats."""
    mode = formats.mode_of(target.canonical)
    if mode is None:
        return
    events = batch.events
    messages = formats.messages(batch)
    if mode == "structured":
        publication.bodies = messages.structured()
        publication.cloud_events = [Own(content_type=STRUCTURED_TYPE)] * len(events)
    else:
        publication.bodies = [messages.data(index) or b"" for index in range(len(events))]
        publication.cloud_events = [
            Own(attributes=messages.headers(index, NAMES), content_type=None if event.body is None else DATA_TYPE)
            for index, event in enumerate(events)
        ]
    if target.message_id and batch.ids is None:
        publication.message_ids = [id_of(event) for event in events]
