"""The nodes of the tree, and the order in which they leave it."""

from __future__ import annotations

import attrs

from evframe_pike.address import Address, unpack


class Node:
    """The first bytes of addresses, or a whole address.

    Hits belong to the window *epoch*; what is read in a later one has to be rolled on first.
    """

    __slots__ = (
        "blocked",
        "children",
        "epoch",
        "expires",
        "hits",
        "hits_before",
        "key",
        "leaf_hits",
        "leaf_hits_before",
        "newer",
        "older",
        "packed",
        "parent",
        "seen",
    )

    def __init__(self, packed: bytes, parent: Node | None, hits: int, epoch: int) -> None:
        self.packed = packed
        self.parent = parent
        self.children = 0
        self.epoch = epoch
        self.hits = hits
        self.hits_before = 0
        self.leaf_hits = 0
        self.leaf_hits_before = 0
        self.blocked = False
        self.key: Address | None = None
        """The address as it was written at its first hit as a whole one; None before."""
        self.seen = -1
        """The second of its last hit as a whole address."""
        self.expires = 0
        """The second at which it leaves."""
        self.older: Node | None = None
        self.newer: Node | None = None


@attrs.frozen
class NodeState:
    """A node as it is now; each pair of hits is that of the window before and of this one."""

    address: str
    whole: bool
    blocked: bool
    hits: tuple[int, int]
    leaf_hits: tuple[int, int]
    expires_s: int | None
    """The seconds until it leaves; None while longer addresses keep it."""

    @classmethod
    def of(cls, node: Node, now: int) -> NodeState:
        """Return the state of *node*, which is rolled on, at the second *now*."""
        stays = node.children and node.key is None
        return cls(
            unpack(node.packed),
            node.key is not None,
            node.blocked,
            (node.hits_before, node.hits),
            (node.leaf_hits_before, node.leaf_hits),
            None if stays else max(0, node.expires - now),
        )


class Calendar:
    """The nodes that may leave, by the second at which they do.

    Each second has a ring of them, so that adding, removing and finding the next one to leave
    take the same time however many there are.
    """

    def __init__(self) -> None:
        self._rings: dict[int, Node] = {}
        self._first = 0
        self._count = 0

    def add(self, node: Node, expires: int) -> None:
        """Have *node*, which is in no ring, leave at the second *expires*."""
        node.expires = expires
        ring = self._rings.get(expires)
        if ring is None:
            ring = self._rings[expires] = Node(b"", None, 0, 0)
            ring.expires = expires
            ring.older = ring.newer = ring
        last = ring.older
        assert last is not None
        node.older, node.newer = last, ring
        last.newer = ring.older = node
        if expires < self._first or not self._count:
            self._first = expires
        self._count += 1

    def remove(self, node: Node) -> None:
        """Take *node* out, if it is in."""
        older, newer = node.older, node.newer
        if older is None or newer is None:
            return
        node.older = node.newer = None  # what leaves is in no cycle, and freed at once
        older.newer, newer.older = newer, older
        self._count -= 1
        if older is newer:  # only the ring itself is left
            del self._rings[older.expires]
            older.older = older.newer = None

    def shift(self, seconds: int) -> None:
        """Have all of them leave *seconds* later; the caller sets `expires` of each."""
        self._rings = {second + seconds: ring for second, ring in self._rings.items()}
        for second, ring in self._rings.items():
            ring.expires = second
        self._first += seconds

    def first(self) -> Node | None:
        """Return the node that leaves next; None when there is none."""
        while self._count:
            ring = self._rings.get(self._first)
            if ring is not None:
                return ring.newer
            self._first += 1
        return None
