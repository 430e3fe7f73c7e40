"""Sessions with states and lifetimes for evframe: created, ringing, answered, acknowledged, ended."""

from evframe_dialog.events import StateChanged
from evframe_dialog.options import Options
from evframe_dialog.plugin import Dialogs
from evframe_dialog.session import Ping, Session
from evframe_dialog.states import State

__all__ = ["Dialogs", "Options", "Ping", "Session", "State", "StateChanged"]
