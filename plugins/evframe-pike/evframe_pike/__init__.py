"""The pike source of evframe: finds source addresses that send too much."""

from evframe_pike.ageing import NodeState
from evframe_pike.detector import Detector
from evframe_pike.events import Blocked
from evframe_pike.options import Options
from evframe_pike.plugin import Pike
from evframe_pike.verdict import Verdict

__all__ = ["Blocked", "Detector", "NodeState", "Options", "Pike", "Verdict"]
