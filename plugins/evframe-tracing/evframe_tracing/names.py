"""The names of spans and their attributes: those of the semantic conventions for messaging, which may still change.

`OTEL_SEMCONV_STABILITY_OPT_IN` chooses between the conventions up to version 1.24 and later ones. These here have been
later ones from the start, so that there is nothing to choose.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import attrs

SYSTEM: Final = "messaging.system"
"""The scheme of the socket."""
DESTINATION: Final = "messaging.destination.name"
"""The socket as listings have it, without secrets."""
BATCH_SIZE: Final = "messaging.batch.message_count"
"""How many events the batch has."""
OPERATION: Final = "messaging.operation.name"
OPERATION_TYPE: Final = "messaging.operation.type"
HOST: Final = "server.address"
"""The first host of the socket."""
PORT: Final = "server.port"
ERROR_TYPE: Final = "error.type"
"""The reason of the failure."""
FAILED: Final = "evframe.failed_count"
"""How many events have failed for good."""
LEFT_OUT: Final = "evframe.links_left_out"
"""How many contexts the span is not linked to."""


@attrs.frozen
class Role:
    """What a delivery is."""

    operation: str
    kind: str

    @property
    def attributes(self) -> Mapping[str, str]:
        """The attributes of the operation."""
        return {OPERATION: self.operation, OPERATION_TYPE: self.operation}


# A message has the context of its event, and not that of the span: by the conventions, the span is a client's then.
_SEND: Final = Role("send", "client")
_PROCESS: Final = Role("process", "consumer")
_ROLES: Final = {"route": _PROCESS, "listen": _PROCESS, "virtual": Role("send", "internal")}


def role_of(scheme: str) -> Role:
    """Return what a delivery to a socket of *scheme* is."""
    return _ROLES.get(scheme, _SEND)
