"""Which deliveries of a channel have their answer, and how the broker gets the answers in few frames."""

from __future__ import annotations

from collections import Counter

from pamqp import commands
from pamqp.base import Frame

from evframe_rabbitmq_consumer.options import Answer


class Tags:
    """The delivery tags of one channel: open, answered but not sent, and sent.

    Args:
        sent: counts those whose answer was sent, by the answer.
    """

    def __init__(self, sent: Counter[Answer]) -> None:
        self._open: dict[int, None] = {}  # in the order of their numbers
        self._answers: dict[int, Answer] = {}
        self._sent = sent

    def __len__(self) -> int:
        return len(self._open)

    def add(self, tag: int) -> None:
        """Take a delivery; tags grow."""
        self._open[tag] = None

    def answer(self, tag: int, answer: Answer) -> None:
        """Take the answer to a delivery that is open."""
        del self._open[tag]
        self._answers[tag] = answer

    def frames(self) -> list[Frame]:
        """Return the answers that are to be sent now: one frame for all acknowledgements that no open one is before."""
        answers, self._answers = self._answers, {}
        self._sent.update(answers.values())
        frames: list[Frame] = [
            commands.Basic.Nack(delivery_tag=tag, requeue=answer == "requeue")
            for tag, answer in answers.items()
            if answer != "ack"
        ]
        first_open = next(iter(self._open), None)
        done = 0
        for tag, answer in sorted(answers.items()):
            if answer != "ack":
                continue
            if first_open is None or tag < first_open:
                done = tag
            else:
                frames.append(commands.Basic.Ack(delivery_tag=tag))
        if done:
            # It covers what was answered otherwise too: that has been said before.
            frames.append(commands.Basic.Ack(delivery_tag=done, multiple=True))
        return frames
