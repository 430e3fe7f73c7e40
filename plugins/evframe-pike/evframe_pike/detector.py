"""Flood detection: a tree of address bytes, and hits in windows.

An address grows into the tree byte by byte, as long as what it begins with is hot; only then
its own hits are counted. Nothing walks the tree when a window ends: a node that is looked at in
a later window is rolled on first, which comes to the same.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Final

from evframe_pike.address import Address, pack, unpack
from evframe_pike.ageing import Node, NodeState
from evframe_pike.options import Options
from evframe_pike.tree import Tree
from evframe_pike.trusted import Trusted
from evframe_pike.verdict import Verdict

_SLICE: Final = 500  # nodes that are looked at while checks wait
_FREED_KEPT: Final = 10_000
_ALLOWED: Final = Verdict.ALLOWED
_STILL: Final = Verdict.STILL_BLOCKED


class Detector:
    """Counts the requests of addresses, from any thread.

    Args:
        options: the thresholds, the times and the bound.
        clock: the time in seconds, which never goes back.
    """

    def __init__(self, options: Options, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._tree = Tree(lambda node: self._leave(node, self._tick))
        self._known: dict[object, Node] = {}
        self._blocked: dict[Node, None] = {}
        self._freed: deque[str] = deque(maxlen=_FREED_KEPT)
        self._start = self._next = clock()
        self._tick = self._epoch = 0
        self._first_tick = self._first_epoch = 0  # of windows of the present length
        self.detected = 0
        """How many times an address was found flooding."""
        self.untracked = 0
        """How many requests were let pass uncounted, because there was no room in this window."""
        self._adopt(options)

    def _adopt(self, options: Options) -> None:
        self._limit = options.reqs_density_per_unit
        self._hot = options.reqs_density_per_unit // 4
        self._window_s = options.sampling_time_unit_s
        self._latency_s = options.latency_s
        self._tree.most = options.max_nodes
        self._trusted = Trusted(options.trusted)

    def reconfigure(self, options: Options) -> None:
        """Continue with other options; what is known of addresses stays.

        With another length of windows one begins now, and addresses that are blocked are so until
        a full one of them was quiet. Each address leaves when it would have left with the new latency.
        """
        with self._lock:
            self._advance()
            longer_s = options.latency_s - self._latency_s
            if longer_s:
                self._tree.calendar.shift(longer_s)
                for node in self._tree.nodes.values():
                    node.expires += longer_s
            is_other_window = options.sampling_time_unit_s != self._window_s
            self._adopt(options)
            self._tree.full_in = -1
            if is_other_window:
                self._begin_window()
            if options.trusted:
                for node in [each for each in self._known.values() if each.packed in self._trusted]:
                    self._leave(node, self._tick)

    def _begin_window(self) -> None:
        """End the present window before its time."""
        for blocked in list(self._blocked):
            self._settle(blocked)
        for blocked in self._blocked:
            blocked.leaf_hits = max(blocked.leaf_hits, self._limit)  # it was not quiet for a whole window
        for node in self._tree.nodes.values():
            node.seen = -1  # it has to be rolled on, in this second too
        self._epoch += 1
        self._first_tick, self._first_epoch = self._tick, self._epoch

    @property
    def evicted(self) -> int:
        """How many nodes left early, to make room."""
        return self._tree.evicted

    def __len__(self) -> int:
        return len(self._tree.nodes)

    def check(self, address: Address) -> Verdict:
        """Count a request of *address* and return whether it may pass.

        Raises:
            ValueError: if it is no address; see `evframe_pike.address.pack`.
        """
        with self._lock:
            if self._clock() >= self._next:
                self._advance()
            try:
                node = self._known.get(address)
            except TypeError:  # it cannot be a key
                node = None
            # An address that had a hit in this second is rolled on, and there to stay.
            if node is None or (node.seen != self._tick and not self._refresh(node)):
                return self._look_up(address)
            node.leaf_hits += 1
            if node.blocked:
                return _STILL
            if node.leaf_hits < self._limit:
                return _ALLOWED
            return self._block(node)

    def _advance(self) -> None:
        self._tick = int(self._clock() - self._start)
        self._next = self._start + self._tick + 1
        self._epoch = self._first_epoch + (self._tick - self._first_tick) // self._window_s

    def _begin_of(self, epoch: int) -> int:
        """Return the second in which a window begins."""
        return self._first_tick + (epoch - self._first_epoch) * self._window_s

    def _look_up(self, address: Address) -> Verdict:
        """Count a request of an address that is not known as it is written."""
        packed = pack(address)
        if packed in self._trusted:
            return _ALLOWED
        node = self._tree.nodes.get(packed)
        while node is not None and not self._refresh(node):
            node = self._tree.nodes.get(packed)  # longer addresses may have kept it
        if node is None:
            if self._tree.full_in == self._epoch:
                self.untracked += 1
            else:
                self._approach(packed)
            return _ALLOWED
        if node.key is None:
            node.key = address
            self._known[address] = node
        node.leaf_hits += 1
        if node.blocked:
            return _STILL
        return _ALLOWED if node.leaf_hits < self._limit else self._block(node)

    def _approach(self, packed: bytes) -> None:
        """Count a hit where the tree ends on the way to *packed*, and grow there when it is hot."""
        node = self._tree.deepest(packed)
        if node is None:
            self._grow(packed[:1], None, 1)
            return
        if node.epoch != self._epoch:
            self._roll(node)
        node.hits += 1
        if node.hits >= self._hot or node.hits_before >= self._hot:
            self._grow(packed[: len(node.packed) + 1], node, node.hits - 1)

    def _grow(self, packed: bytes, parent: Node | None, hits: int) -> None:
        node = Node(packed, parent, hits, self._epoch)
        if not self._tree.grow(node, self._tick + self._latency_s, self._begin_of(self._epoch) + self._latency_s):
            self.untracked += 1

    def _refresh(self, node: Node) -> bool:
        """Have a whole address stay for another while; return whether it was still there."""
        if node.expires <= self._tick and (node.key is not None or not node.children):
            self._leave(node, node.expires)
            return False
        if node.epoch != self._epoch:
            self._roll(node)
        node.seen = self._tick
        if node.blocked:
            node.expires = self._tick + self._latency_s
        else:
            self._tree.calendar.remove(node)
            self._tree.calendar.add(node, self._tick + self._latency_s)
        return True

    def _roll(self, node: Node) -> None:
        """Bring a node's hits to the present window, and free it when the last full one was quiet."""
        passed = self._epoch - node.epoch
        if node.blocked and (passed > 1 or node.leaf_hits < self._limit):
            self._free(node)
            self._tree.calendar.add(node, node.expires)
        node.hits_before = node.hits if passed == 1 else 0
        node.leaf_hits_before = node.leaf_hits if passed == 1 else 0
        node.hits = node.leaf_hits = 0
        node.epoch = self._epoch

    def _block(self, node: Node) -> Verdict:
        self._tree.calendar.remove(node)
        self._blocked[node] = None
        node.blocked = True
        self.detected += 1
        return Verdict.NEWLY_BLOCKED

    def _free(self, node: Node) -> None:
        del self._blocked[node]
        node.blocked = False
        self._freed.append(unpack(node.packed))

    def _leave(self, node: Node, at: int) -> None:
        """Forget an address, and take its node out unless longer addresses keep it."""
        if node.blocked:
            self._free(node)
        if node.key is not None:
            del self._known[node.key]
            node.key = None
            node.leaf_hits = node.leaf_hits_before = 0
        self._tree.remove(node, at + self._latency_s)

    def sweep(self) -> Iterator[list[str]]:
        """Let leave what has to, a slice at a time; yield the addresses that are not blocked any more.

        To be called every second. Until it is, addresses are judged as if it had been; only what
        they begin with stays longer.
        """
        with self._lock:
            self._advance()
            blocked = list(self._blocked)
        for first in range(0, len(blocked), _SLICE):
            with self._lock:
                for node in blocked[first : first + _SLICE]:
                    self._settle(node)
            yield self._take_freed()
        while True:
            with self._lock:
                done = self._expire(_SLICE)
            yield self._take_freed()
            if done < _SLICE:
                return

    def _settle(self, node: Node) -> None:
        """Free a blocked address whose time has come."""
        if node.blocked and node.expires <= self._tick:
            self._leave(node, node.expires)
        elif node.epoch != self._epoch:
            self._roll(node)

    def _expire(self, most: int) -> int:
        for done in range(most):
            node = self._tree.calendar.first()
            if node is None or node.expires > self._tick:
                return done
            self._leave(node, node.expires)
        return most

    def _take_freed(self) -> list[str]:
        with self._lock:
            freed = list(self._freed)
            self._freed.clear()
        return freed

    def remove(self, address: Address) -> bool:
        """Forget *address*, blocked or not; return whether it was known.

        Raises:
            ValueError: if it is no address.
        """
        packed = pack(address)
        with self._lock:
            self._advance()
            node = self._tree.nodes.get(packed)
            if node is None or node.key is None:
                return False
            self._leave(node, self._tick)
            return True

    def nodes(self, *, blocked: bool = False, limit: int = 1000) -> list[NodeState]:
        """Return the state of at most *limit* nodes, or only of those that are *blocked*."""
        with self._lock:
            self._advance()
            chosen = list(islice(self._blocked if blocked else self._tree.nodes.values(), limit))
            for node in chosen:
                self._settle(node)
            if blocked:
                chosen = [node for node in chosen if node.blocked]
            return [NodeState.of(node, self._tick) for node in chosen if self._tree.nodes.get(node.packed) is node]

    @property
    def blocked_count(self) -> int:
        """How many addresses are blocked, among them those that the next sweep frees."""
        return len(self._blocked)

    def retry_after_s(self) -> int:
        """Return the seconds until the next full window has passed: then an address that was quiet is free."""
        with self._lock:
            self._advance()
            return self._begin_of(self._epoch + 2) - self._tick
