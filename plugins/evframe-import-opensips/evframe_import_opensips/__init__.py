"""From an OpenSIPS script to a configuration: what has to do with events, and what it leaves out."""

from evframe_import_opensips.conversion import Conversion, convert
from evframe_import_opensips.findings import Finding, Findings

__all__ = ["Conversion", "Finding", "Findings", "convert"]
