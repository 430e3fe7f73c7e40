"""From the statements of a script to a configuration."""

from __future__ import annotations

import attrs

from evframe_import_opensips.bridging import BridgeConverter
from evframe_import_opensips.checking import leave_out_refused
from evframe_import_opensips.converter import CONVERTED, Converter, module_name
from evframe_import_opensips.document import to_toml
from evframe_import_opensips.findings import Findings
from evframe_import_opensips.modules import CORE_PARAMETERS, FUNCTIONS
from evframe_import_opensips.sources import Sources, name_of
from evframe_import_opensips.statements import Call, Script
from evframe_import_opensips.stubs import stub_module
from evframe_import_opensips.tokens import Place


@attrs.frozen
class Conversion:
    """What a script has become."""

    toml: str
    """The configuration."""
    routes: str
    """A Python module with a function for each event route, to be written."""
    findings: Findings
    """What was left out, and what to look at."""
    summary: str
    """How much there is of what, in a line."""


def convert(path: str, *, routes_module: str | None = None, bridge: bool = False) -> Conversion:
    """Return what the script in the file *path* becomes, ``-`` for standard input.

    Args:
        path: the script.
        routes_module: the Python module that will have a function for each event route.
        bridge: whether OpenSIPS stays, and this gateway gets its events from it.

    Raises:
        OSError: if the file cannot be read.
    """
    findings = Findings()
    script = Script(Sources(findings).tokens(path), CORE_PARAMETERS | CONVERTED | FUNCTIONS.keys(), findings)
    statements = list(script.statements())
    loads = [each for each in statements if isinstance(each, Call) and each.name == "loadmodule"]
    loaded = [module_name(str(each.arguments[0])) for each in loads]
    converter = (BridgeConverter if bridge else Converter)(findings, loaded, routes_module)
    for statement in statements:
        converter.take(statement)
    converter.finish()
    document = converter.document
    name = name_of(path)
    leave_out_refused(document, findings, Place(name, 1))
    converter.drop_needless_events()
    findings.sort_by_place()
    return Conversion(
        to_toml(document, name, findings),
        stub_module(name, converter.event_routes),
        findings,
        f"{document.summary}, left out: {findings.left_out}",
    )
