"""Probes of destinations for plugins of evframe."""

from evframe_probing.codes import is_code_list, parse_codes
from evframe_probing.files import read_destinations
from evframe_probing.prober import ProbeOptions, Prober, Reply, SipOptions
from evframe_probing.probing import Probing, Settings
from evframe_probing.rounds import Rounds
from evframe_probing.sip import is_method, is_sip_uri
from evframe_probing.targets import Target, is_target, parse_target
from evframe_probing.udp import Bind

__all__ = [
    "Bind",
    "ProbeOptions",
    "Prober",
    "Probing",
    "Reply",
    "Rounds",
    "Settings",
    "SipOptions",
    "Target",
    "is_code_list",
    "is_method",
    "is_sip_uri",
    "is_target",
    "parse_codes",
    "parse_target",
    "read_destinations",
]
