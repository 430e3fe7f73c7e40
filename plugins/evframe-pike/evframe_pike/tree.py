"""The tree of address bytes: how it grows, and which node leaves when there is no room."""

from __future__ import annotations

from collections.abc import Callable

from evframe_pike.ageing import Calendar, Node


class Tree:
    """Nodes by the first bytes of addresses.

    Args:
        leave: has a node leave that makes room for another one.
    """

    def __init__(self, leave: Callable[[Node], None]) -> None:
        self._leave = leave
        self.nodes: dict[bytes, Node] = {}
        self.calendar = Calendar()
        self.most = 0
        """How many nodes there may be."""
        self.evicted = 0
        """How many nodes left early, to make room."""
        self.full_in = -1
        """The window in which there was no room; -1 when there may be room."""

    def deepest(self, packed: bytes) -> Node | None:
        """Return the node of the longest beginning of *packed* that has one, if that is not all of it."""
        depth, beyond = 0, len(packed)
        while beyond - depth > 1:  # whatever a node begins with has a node
            middle = (depth + beyond) // 2
            if packed[:middle] in self.nodes:
                depth = middle
            else:
                beyond = middle
        return self.nodes[packed[:depth]] if depth else None

    def grow(self, node: Node, expires: int, present: int) -> bool:
        """Add *node* below its parent; return False when there is no room for it.

        Args:
            node: the node.
            expires: the second at which it leaves.
            present: the second at which a node leaves at the earliest that was seen in this window.
        """
        parent = node.parent
        if parent is not None:
            parent.children += 1  # so that it is not the one that leaves
            if parent.key is None:
                self.calendar.remove(parent)
        if len(self.nodes) < self.most or self._make_room(present):
            self.nodes[node.packed] = node
            self.calendar.add(node, expires)
            return True
        self.full_in = node.epoch
        if parent is not None:
            parent.children -= 1
            if not parent.children and parent.key is None:
                self.calendar.add(parent, parent.expires)
        return False

    def _make_room(self, present: int) -> bool:
        """Have the node leave that was not seen for longest; none that was seen in this window has to."""
        while len(self.nodes) >= self.most:
            oldest = self.calendar.first()
            if oldest is None or oldest.expires >= present:
                return False
            self.evicted += not oldest.children
            self._leave(oldest)
        return True

    def remove(self, node: Node, parent_expires: int) -> None:
        """Take *node* out unless longer addresses keep it; its parent stays until *parent_expires* at least."""
        self.calendar.remove(node)
        if node.children:
            return
        del self.nodes[node.packed]
        self.full_in = -1
        parent = node.parent
        if parent is None:
            return
        parent.children -= 1
        if parent.key is None:
            parent.expires = max(parent.expires, parent_expires)
            if not parent.children:
                self.calendar.add(parent, parent.expires)
