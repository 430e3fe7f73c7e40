"""The settings of a producer, of the properties of a socket and the options of the transport."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from evframe.plugin import Network
from evframe_kafka.address import KafkaSocket
from evframe_kafka.options import Options

Beyond = Callable[[Sequence[tuple[str, int]]], Sequence[Network] | None]
"""Returns the networks in which the brokers may be that a cluster names; see `PluginContext.networks_beyond`."""
_RECORD_BYTES: Final = 1_048_576  # what the library and the brokers take unless a property says otherwise


def settings_of(target: KafkaSocket, options: Options) -> dict[str, Any]:
    """Return the settings of the producer: the properties of the socket go before the options."""
    settings = {
        "acks": "all",
        "request_timeout_ms": options.delivery_timeout_ms,
        "max_batch_size": options.batch_bytes,
        "max_request_size": _RECORD_BYTES,
        "enable_idempotence": options.enable_idempotence,
        **target.options,
    }
    settings["max_batch_size"] = min(settings["max_batch_size"], settings["max_request_size"])
    return settings
