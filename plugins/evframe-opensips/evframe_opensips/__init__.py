"""The bridge from live instances of OpenSIPS, whose events it raises here."""

from evframe_opensips.options import InstanceOptions, Options
from evframe_opensips.plugin import OpensipsBridge

__all__ = ["InstanceOptions", "OpensipsBridge", "Options"]
