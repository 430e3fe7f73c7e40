"""The options of the interface: the table ``[plugins.mi-fifo]``."""

from __future__ import annotations

from typing import Any

import attrs
from evframe_mi import NarrowingOptions
from evframe_wire.endpoints import known_group, known_user, octal_mode

from evframe.plugin import at_least


def _absolute(_: Any, attribute: attrs.Attribute[Any], value: str | None) -> None:
    if value is not None and (not value.startswith("/") or "\0" in value):
        raise ValueError(f"{attribute.name}: expected an absolute path, got {value!r}")


@attrs.frozen
class Options(NarrowingOptions):
    """Where requests are read and replies are written, and who may do so."""

    fifo_name: str | None = attrs.field(default=None, validator=_absolute)
    """The path of the FIFO; clients look for ``/tmp/opensips_fifo`` by default.
    Without it nothing is read."""
    fifo_mode: str = attrs.field(default="660", validator=octal_mode)
    """The octal mode of the FIFO."""
    fifo_user: int | str | None = attrs.field(default=None, validator=known_user)
    """Whom the FIFO belongs to, by name or id."""
    fifo_group: int | str | None = attrs.field(default=None, validator=known_group)
    """The group of the FIFO, by name or id."""
    reply_dir: str = attrs.field(default="/tmp/", validator=_absolute)  # noqa: S108 where clients make theirs
    """The directory in which clients make the FIFOs that they read replies from."""
    reply_timeout_ms: int = attrs.field(default=5000, validator=at_least(1))
    """How long a client may take to read a reply."""
    max_request_bytes: int = attrs.field(default=1 << 20, validator=at_least(1))
    """The largest request."""
    pretty_printing: bool = False
    """Answer with one member per line, which clients that read one line do not understand."""
