"""The frames of messages with ids."""

import pytest
from evframe_rabbitmq import parse
from evframe_rabbitmq.frames import IdFrames, MessageFrames, Own, header_frame


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
    single = [MessageFrames(3, 131_072, target, Own(name)).of([body]) for body, name in zip(bodies, ids, strict=True)]
    assert IdFrames(3, 131_072, target).of(bodies, ids) == b"".join(single)


def test_frames_with_ids_of_several_lengths():
    """A queue may give ids that have numbers without leading zeros: each frame has the length of its id."""
    target, bodies = parse("127.0.0.1/message_id?q"), [b"%d" % number for number in range(40)]
    ids = [f"run-{number:x}-1" for number in range(len(bodies))]
    single = [MessageFrames(3, 131_072, target, Own(name)).of([body]) for body, name in zip(bodies, ids, strict=True)]
    assert IdFrames(3, 131_072, target).of(bodies, ids) == b"".join(single)


def test_headers_of_an_event_that_do_not_fit_are_left_out():
    """Headers of an event never make a frame larger than the broker permits; those of the socket stay."""
    target = parse("127.0.0.1/header.a=b?q")
    most = len(header_frame(3, target, 0)) + 50
    own = Own(carried={"traceparent": "x" * 55})

    frames = {size: MessageFrames(3, size, target, own).of([b"body"]) for size in (most, 131_072)}

    assert frames[most] == MessageFrames(3, most, target).of([b"body"])
    assert b"traceparent" in frames[131_072]


def test_a_header_of_the_socket_is_the_sockets():
    """A header that a socket names is not that of the event."""
    target = parse("127.0.0.1/header.traceparent=mine?q")

    assert header_frame(3, target, 0, Own(carried={"traceparent": "theirs"})) == header_frame(3, target, 0)
