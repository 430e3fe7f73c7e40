"""The bridge from live instances of OpenSIPS, whose events it raises here."""

from evframe_opensips.bridge import OpensipsBridge
from evframe_opensips.options import InstanceOptions, Options

__all__ = ["InstanceOptions", "OpensipsBridge", "Options"]
