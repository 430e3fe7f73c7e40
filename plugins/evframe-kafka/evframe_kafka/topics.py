"""The topics of one socket with a parameter in its topic: as many as the events have values, and few of them open."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from typing import Final

from evframe import Unavailable
from evframe.plugin import Step
from evframe_kafka.metadata import UNKNOWN
from evframe_kafka.sending import Sending

_FIRST_PAUSE_S: Final = 0.05
_LONGEST_PAUSE_S: Final = 0.5
Groups = dict[str, list[int]]
"""The indexes of events by their topics."""


class TopicSet:
    """Sends the events of a batch to the topics that they name.

    An event whose topic does not exist fails by itself. Brokers that create topics do so after they have answered
    that there is none: such events wait a while, and those of other topics go meanwhile.

    Args:
        most: how many topics the producer may know.
        timeout_s: how long brokers may take to create a topic.
    """

    def __init__(self, most: int, timeout_s: float) -> None:
        self._most = most
        self._timeout_s = timeout_s
        self.open: OrderedDict[str, None] = OrderedDict()
        """Those that the producer knows, the one that is used last at the end."""
        self._missed: OrderedDict[str, None] = OrderedDict()  # waited for in vain, and not waited for again
        self._last: dict[str, asyncio.Event] = {}  # set when the last batch with events that wait for a topic is over

    async def deliver(self, sending: Sending, step: Step) -> None:
        """Send the events of a batch.

        Raises:
            Unavailable: if some have to be sent again; the events of the others are confirmed.
        """
        over = asyncio.Event()
        late: Groups = {}
        try:
            async with step("look"):
                there, late = await self._divide(sending)
                before = {self._last[topic] for topic in late if topic in self._last}
                self._last.update(dict.fromkeys(late, over))
            async with step("send"):
                await self._send(sending, there)
            for each in before:
                await each.wait()
            await self._send_late(sending, late, step)
        except BaseException:
            sending.confirm()
            raise
        finally:
            over.set()
            for topic in late:
                if self._last.get(topic) is over:
                    del self._last[topic]

    async def _divide(self, sending: Sending) -> tuple[Groups, Groups]:
        """Return the events whose topics exist, and those that wait for theirs, or behind others that do."""
        groups, cluster = sending.contents.by_topic(), sending.cluster
        reasons = await cluster.reasons_of(
            [each for each in groups if each not in self.open or not cluster.knows(each)]
        )
        there, late = Groups(), Groups()
        for topic, indexes in groups.items():
            reason = reasons.get(topic)
            if topic in self._last or (reason == UNKNOWN and self._waits_for(topic)):
                late[topic] = indexes
            elif reason is None:
                there[topic] = indexes
            else:
                sending.fail(indexes, reason)
        return there, late

    def _waits_for(self, topic: str) -> bool:
        return self._timeout_s > 0 and topic not in self._missed

    async def _send_late(self, sending: Sending, late: Groups, step: Step) -> None:
        """Send events to their topics as these come to be; at the end of the time the others fail."""
        loop = asyncio.get_running_loop()
        ends, pause_s, waiting = loop.time() + self._timeout_s, _FIRST_PAUSE_S, dict(late)
        while waiting:
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
            is_over = loop.time() >= ends
            reasons = await sending.cluster.reasons_of(list(waiting))
            there = {topic: waiting.pop(topic) for topic, reason in reasons.items() if reason is None}
            if there:
                async with step("send"):
                    await self._send(sending, there)
            for topic, reason in reasons.items():
                if reason is None:
                    self._missed.pop(topic, None)
                elif reason != UNKNOWN:
                    sending.fail(waiting.pop(topic), reason)
                elif is_over or not self._waits_for(topic):
                    sending.fail(waiting.pop(topic), reason)
                    self._miss(topic)

    def _miss(self, topic: str) -> None:
        self._missed[topic] = None
        if len(self._missed) > self._most:
            self._missed.popitem(last=False)

    async def _send(self, sending: Sending, groups: Groups) -> None:
        """Send events to topics that exist, so many topics at once as may be open.

        A topic whose brokers do not acknowledge holds up no other one, as long as others are acknowledged.
        """
        problem = None
        for topics in _slices(list(groups), self._most):
            self._use(topics)
            await sending.cluster.learn(topics)
            packed = [each for topic in topics for each in await sending.pack(topic, groups[topic])]
            had = len(sending.acknowledged)
            try:
                await sending.send(packed)
            except Unavailable as error:
                if len(sending.acknowledged) == had:
                    raise
                problem = problem or error.reason
        if problem is not None:
            raise Unavailable(problem)

    def _use(self, topics: Iterable[str]) -> None:
        for topic in topics:
            self.open[topic] = None
            self.open.move_to_end(topic)
        while len(self.open) > self._most:
            self.open.popitem(last=False)


def _slices(topics: Sequence[str], most: int) -> Iterable[Sequence[str]]:
    return (topics[start : start + most] for start in range(0, len(topics), most))
