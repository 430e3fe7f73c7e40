"""Publications of CloudEvents."""

from __future__ import annotations

from evframe_cloudevents import DATA_TYPE, STRUCTURED_TYPE, Formats

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
    messages = formats.messages(batch)
    if mode == "structured":
        publication.bodies = messages.structured()
        publication.cloud_events = [Own(content_type=STRUCTURED_TYPE)] * len(batch.events)
    else:
        made = messages.binary(NAMES)
        publication.bodies = [data or b"" for _, data in made]
        publication.cloud_events = [
            Own(attributes=headers, content_type=None if data is None else DATA_TYPE) for headers, data in made
        ]
