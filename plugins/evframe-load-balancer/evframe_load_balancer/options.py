"""The options of the plugin: the table ``[plugins.load-balancer]``."""

from __future__ import annotations

from typing import Any, Literal

import attrs
from evframe_probing import (
    ProbeOptions,
    Settings,
    SipOptions,
    is_code_list,
    is_method,
    is_sip_uri,
    is_target,
    parse_codes,
)

from evframe.plugin import at_least, file_digests


def _resources(_: Any, attribute: attrs.Attribute[dict[str, int]], value: dict[str, int]) -> None:
    if not value or not all(name and most >= 0 for name, most in value.items()):
        raise ValueError(f"{attribute.name}: expected at least one name with its largest load, got {value!r}")


@attrs.frozen
class DestinationOptions:
    """One destination."""

    id: int
    """Its number, which nothing else has."""
    group: int
    """The group that it belongs to."""
    uri: str = attrs.field(validator=is_target)
    """``sip:host[:port]``, ``tcp://host:port``, ``http://…`` or ``https://…``: where it is, and how it is probed."""
    resources: dict[str, int] = attrs.field(validator=_resources)
    """What it provides, each with the largest load."""
    probe_mode: Literal[0, 1, 2] = 0
    """0 never probes it, 1 while it is disabled, 2 always."""
    description: str = ""
    """For people."""
    attrs: str = ""
    """A text for the code that uses the destination."""


@attrs.frozen
class Options:
    """The destinations, and how their health is reported."""

    destinations: list[DestinationOptions] = attrs.field(factory=list)
    """The destinations."""
    file: str | None = None
    """A TOML file with more ``[[destinations]]``, which is read again on `load_balancer:reload`."""
    probing_interval_s: float = attrs.field(default=30.0, validator=at_least(0))
    """How often a destination is probed; 0 turns probing off."""
    probing_method: str = attrs.field(default="OPTIONS", validator=is_method)
    """The method of SIP probes."""
    probing_from: str = attrs.field(default="sip:prober@localhost", validator=is_sip_uri)
    """The URI in the From header of SIP probes."""
    probing_reply_codes: str = attrs.field(default="", validator=is_code_list)
    """The SIP codes besides 200 that are good, such as `501,403`."""
    probing_verbose: bool = False
    """Log what probing enables and disables, rather than only in the reports."""
    probe: ProbeOptions = attrs.field(factory=ProbeOptions)
    """What holds for all probes."""
    contents: tuple[bytes | None, ...] = file_digests("file")

    @property
    def probing(self) -> Settings:
        """How destinations are probed."""
        codes = parse_codes(self.probing_reply_codes)
        sip = SipOptions(method=self.probing_method, from_uri=self.probing_from, reply_codes=codes)
        return Settings(self.probing_interval_s, self.probe, sip)
