"""The options of the plugin: the table ``[plugins.dispatcher]``."""

from __future__ import annotations

import re
from typing import Any, Literal

import attrs
from evframe_probing import (
    Bind,
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

DEFAULT = "default"


def _partition(_: Any, attribute: attrs.Attribute[str], value: str) -> None:
    if not re.fullmatch(r"[^\s:;]{1,64}", value):
        raise ValueError(f"{attribute.name}: expected 1 to 64 characters without blanks, ':' and ';', got {value!r}")


def _set_list(_: Any, attribute: attrs.Attribute[str | None], value: str | None) -> None:
    if value is not None:
        try:
            parse_sets(value)
        except ValueError:
            raise ValueError(f"{attribute.name}: expected numbers such as '1,2,3', got {value!r}") from None


def _bind(_: Any, attribute: attrs.Attribute[str | None], value: str | None) -> None:
    try:
        if value is not None:
            Bind.parse(value)
    except ValueError as error:
        raise ValueError(f"{attribute.name}: {error}") from None


def _max_forwards(_: Any, attribute: attrs.Attribute[int | None], value: int | None) -> None:
    if value is not None and not 0 <= value <= 255:
        raise ValueError(f"{attribute.name}: expected 0 to 255, got {value!r}")


def parse_sets(text: str) -> frozenset[int]:
    """Return the ids of sets that *text* lists between commas; ValueError if it does not fit."""
    return frozenset(int(part) for part in text.split(","))


@attrs.frozen
class DestinationOptions:
    """One destination; partition, set and URI together are its name."""

    set: int
    """The set that it belongs to."""
    uri: str = attrs.field(validator=is_target)
    """``sip:host[:port]``, ``tcp://host:port``, ``http://…`` or ``https://…``: where it is, and how it is probed."""
    partition: str = attrs.field(default=DEFAULT, validator=_partition)
    """The partition of the set."""
    state: Literal[0, 1, 2] = 0
    """Where it begins: 0 active, 1 inactive, 2 probing."""
    probe_mode: Literal[0, 1] = 0
    """1 has it probed whatever `ds_probing_mode` is."""
    weight: int = attrs.field(default=1, validator=at_least(0))
    """Its share of the choices beside the others of the set; 0 for none while others are active."""
    priority: int = 0
    """Its place in the set: the highest comes first."""
    description: str = ""
    """A text that `dispatcher:list` shows."""
    attrs: str = ""
    """A text for the code that uses the destination."""


@attrs.frozen
class Options:
    """The destinations, and how their health is reported."""

    destinations: list[DestinationOptions] = attrs.field(factory=list)
    """The destinations."""
    file: str | None = None
    """A TOML file with more ``[[destinations]]``, which is read again on `dispatcher:reload`."""
    ds_ping_interval_s: float = attrs.field(default=0.0, validator=at_least(0))
    """How often a destination is probed; 0 turns probing off."""
    ds_probing_threshold: int = attrs.field(default=3, validator=at_least(1))
    """So many failures without a good probe between take a destination out of use."""
    ds_probing_mode: Literal[0, 1] = 0
    """0 probes destinations that are out of use, 1 active ones too."""
    ds_probing_list: str | None = attrs.field(default=None, validator=_set_list)
    """The only sets that are probed, such as `1,2,3`."""
    ds_ping_method: str = attrs.field(default="OPTIONS", validator=is_method)
    """The method of SIP probes."""
    ds_ping_from: str = attrs.field(default="sip:dispatcher@localhost", validator=is_sip_uri)
    """The URI in the From header of SIP probes."""
    ds_ping_maxfwd: int | None = attrs.field(default=None, validator=_max_forwards)
    """How many hops a SIP probe may take; 70 without it."""
    ds_probing_sock: str | None = attrs.field(default=None, validator=_bind)
    """Where SIP probes over UDP are sent from, `[udp:]host[:port]`."""
    options_reply_codes: str = attrs.field(default="", validator=is_code_list)
    """The SIP codes besides 200 that are good, such as `501,403`."""
    persistent_state: bool = True
    """Keep the states of the destinations in `state_file`, if there is one."""
    state_file: str | None = None
    """The file that the states are kept in."""
    initial_events: bool = False
    """Raise `E_DISPATCHER_STATUS` for each destination with the state that it begins with, too."""
    probe: ProbeOptions = attrs.field(factory=ProbeOptions)
    """What holds for all probes."""
    contents: tuple[bytes | None, ...] = file_digests("file")

    @property
    def probing(self) -> Settings:
        """How destinations are probed."""
        sip = SipOptions(
            method=self.ds_ping_method,
            from_uri=self.ds_ping_from,
            max_forwards=70 if self.ds_ping_maxfwd is None else self.ds_ping_maxfwd,
            reply_codes=parse_codes(self.options_reply_codes),
            bind=None if self.ds_probing_sock is None else Bind.parse(self.ds_probing_sock),
        )
        return Settings(self.ds_ping_interval_s, self.probe, sip)

    @property
    def probed_sets(self) -> frozenset[int] | None:
        """The only sets that are probed; None for all."""
        return None if self.ds_probing_list is None else parse_sets(self.ds_probing_list)

    @property
    def state_path(self) -> str | None:
        """The file that the states are kept in, if they are."""
        return self.state_file if self.persistent_state else None
