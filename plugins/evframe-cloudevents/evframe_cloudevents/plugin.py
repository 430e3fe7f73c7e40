"""The plugin: the options that the CloudEvents of all transports share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import pluggy

from evframe_cloudevents.envelope import Envelope
from evframe_cloudevents.options import Options as CloudEventsOptions

NAME: Final = "cloudevents"
# The core's marker is another object with the same name: the library needs no core.
_hookimpl: Final = pluggy.HookimplMarker("evframe")


class CloudEventsPlugin:
    """Has the envelope that transports use."""

    Options = CloudEventsOptions
    kind = "extension"

    def __init__(self, options: CloudEventsOptions | None = None) -> None:
        self._options = CloudEventsOptions() if options is None else options
        self.envelope = Envelope(self._options.source, self._options.type_prefix)
        """Makes CloudEvents."""

    @_hookimpl
    def reconfigure(self, options: CloudEventsOptions) -> Callable[[], Any]:
        """Use other attributes from the next batch on."""
        before = self._options, self.envelope

        def undo() -> None:
            self._options, self.envelope = before

        self._options, self.envelope = options, Envelope(options.source, options.type_prefix)
        return undo
