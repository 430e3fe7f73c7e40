"""The frames of messages with ids."""

import pytest
from evframe_rabbitmq import parse
from evframe_rabbitmq.frames import MessageFrames, NamedFrames


@pytest.mark.parametrize(
    "text",
    [
        "127.0.0.1/q",
        "127.0.0.1/persistent?q",
        "127.0.0.1/persistent;content_type=a/b;correlation_id=-----------------------------------;header.a=---;message_id?q",
    ],
)
def test_frames_with_ids_of_one_length(text):
    """Messages that differ in their ids and bodies have the frames that each would have by itself."""
    target, bodies = parse(text), [b"x" * size for size in (0, 1, 200, 200_000, 5)]
    ids = [f"{77:016x}-{number:016x}" for number in range(len(bodies))]
    single = [MessageFrames(3, 131_072, target, name).of([body]) for body, name in zip(bodies, ids, strict=True)]
    assert NamedFrames(3, 131_072, target, 33).of_named(bodies, ids) == b"".join(single)
