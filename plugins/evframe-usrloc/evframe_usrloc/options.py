"""The options of the registry: the table ``[plugins.usrloc]``."""

from __future__ import annotations

import os
from typing import Any

import attrs

from evframe.plugin import at_least, within


def _file(_: Any, attribute: attrs.Attribute[str], value: str) -> None:
    if value and ("\0" in value or os.path.isdir(value) or not os.path.isdir(os.path.dirname(value) or ".")):
        raise ValueError(f"{attribute.name}: expected the path of a file in a directory that exists, got {value!r}")


@attrs.frozen
class Options:
    """How bindings are matched and kept, and which events are raised about them."""

    matching_mode: int = attrs.field(default=0, validator=within(0, 1))
    """What makes a contact the same as a known one: 0 an equal URI, 1 an equal URI and an equal Call-ID."""
    cseq_delay_s: float = attrs.field(default=20.0, validator=at_least(0))
    """How long after its last change a contact takes an equal CSeq for a retransmission, and does not refuse it."""
    use_domain: bool = True
    """Whether the part of an address after the ``@`` distinguishes it from others; without, it is cut off."""
    desc_time_order: bool = False
    """List the contacts of an address by their last registration, the newest first, and not by their q."""
    hash_size: int = attrs.field(default=9, validator=within(0, 16))
    """The addresses are spread over two to the power of so many tables: 9 suits a million, 12 suits ten."""
    contact_refresh_timer: bool = False
    """Raise ``E_UL_CONTACT_REFRESH`` for contacts with push notification before they expire."""
    on_trigger_interval_s: int = attrs.field(default=120, validator=at_least(1))
    """How long before its expiry a contact is due for a refresh; half its lease when that is shorter."""
    latency_event_min_us: int = attrs.field(default=0, validator=at_least(0))
    """Raise ``E_UL_LATENCY_UPDATE`` for an answer that took so long or longer; 0 sets no limit."""
    latency_event_min_us_delta: int = attrs.field(default=0, validator=at_least(0))
    """Raise it too for an answer that took so much longer or shorter than the last one; 0 sets no limit."""
    db_path: str = attrs.field(default="", validator=_file)
    """The file of the SQLite store; empty keeps the bindings in memory alone."""
    timer_interval_s: float = attrs.field(default=60.0, validator=at_least(0.01))
    """How often changes are written to the store: what a killed process may lose."""
    load_silently: bool = False
    """Raise no events for what is read from the store at the start."""
    dump_limit: int = attrs.field(default=1000, validator=at_least(1))
    """How many addresses one answer of the command ``usrloc:dump`` holds."""
