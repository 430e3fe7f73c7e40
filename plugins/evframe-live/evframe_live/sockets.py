"""The sockets of streams."""

from __future__ import annotations

from functools import cached_property

import attrs


@attrs.frozen
class LiveSocket:
    """``sse:127.0.0.1:50312/7``: the address of the client, and the number of the stream; or its name."""

    scheme: str
    name: str
    owner: str
    """The interface whose clients alone may subscribe the socket at run time."""

    @cached_property  # every batch needs it
    def canonical(self) -> str:
        """The scheme and the name."""
        return f"{self.scheme}:{self.name}"

    @property
    def expires(self) -> bool:
        """A lease has no time, because it ends with the connection."""
        return False

    @property
    def is_lasting(self) -> bool:
        """Whether another process can have the leases again: the connection ends with this one."""
        return False

    @property
    def endpoints(self) -> tuple[tuple[str, int], ...]:
        """It connects to no host."""
        return ()
