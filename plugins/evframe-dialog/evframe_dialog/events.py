"""The event that the plugin raises."""

from __future__ import annotations

from typing import Final

from evframe import EventType, param

STATE_CHANGED: Final = "E_DLG_STATE_CHANGED"
_STATES: Final = "1 unconfirmed, 2 early, 3 confirmed without ACK, 4 confirmed, 5 deleted."


class StateChanged(EventType, name=STATE_CHANGED):
    """A session moved to another state."""

    id: str = param(summary="Session id: two hex numbers joined by a dot.")
    db_id: str = param(summary="Same id as one decimal number (64 bit).")
    callid: str = param(summary="Call-ID.")
    from_tag: str = param(summary="Caller tag.")
    to_tag: str | None = param(summary="Callee tag; null before it is known.")
    old_state: int = param(summary=_STATES)
    new_state: int = param(summary="Same coding as old_state.")
