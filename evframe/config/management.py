"""The table ``[management]``, and the keys of it in the table of a management interface."""

from __future__ import annotations

import ipaddress
import os
from typing import Any, Final

import attrs

ALL: Final = "*"
"""Any scheme, event or command."""


def _are_schemes(_: Any, attribute: attrs.Attribute[Any], value: list[str] | None) -> None:
    for scheme in value or ():
        if not scheme or ":" in scheme:
            raise ValueError(f"{attribute.name}: expected schemes such as 'udp', or '*', got {scheme!r}")


def _are_folders(_: Any, attribute: attrs.Attribute[Any], value: list[str] | None) -> None:
    for folder in value or ():
        if not os.path.isabs(folder) or "\0" in folder:
            raise ValueError(f"{attribute.name}: expected absolute paths, got {folder!r}")


def _are_networks(_: Any, attribute: attrs.Attribute[Any], value: list[str] | None) -> None:
    for text in value or ():
        try:
            ipaddress.ip_network(text)
        except ValueError:
            raise ValueError(f"{attribute.name}: expected networks such as '10.0.0.0/8', got {text!r}") from None


def _is_positive(_: Any, attribute: attrs.Attribute[Any], value: int) -> None:
    if value < 1:
        raise ValueError(f"{attribute.name}: expected 1 or more, got {value!r}")


@attrs.frozen
class ManagementOptions:
    """What run-time clients may do, over every management interface: the table ``[management]``."""

    schemes: list[str] | None = attrs.field(default=None, validator=_are_schemes)
    """The schemes that may be subscribed, ``"*"`` for all. Without it: udp, tcp, unix, xmlrpc, xmlrpcs, rabbitmq and
    kafka, and those that write files where there are ``file_roots``. A virtual socket is judged by its members."""
    file_roots: list[str] = attrs.field(factory=list, validator=_are_folders)
    """The folders below which files may be subscribed; links are followed before they are compared."""
    networks: list[str] | None = attrs.field(default=None, validator=_are_networks)
    """The networks that may be subscribed, such as ``10.0.0.0/8``; without it any. Numeric hosts are compared when
    they are subscribed, names whenever they are resolved."""
    raise_events: list[str] = attrs.field(factory=lambda: [ALL])
    """The events that may be raised, as patterns of their names."""
    commands: list[str] = attrs.field(factory=lambda: [ALL])
    """The commands that may be called, as patterns of any of their names."""
    batch_requests: int = attrs.field(default=1000, validator=_is_positive)
    """How many requests one batch may have; a longer one is refused as a whole."""
    answer_bytes: int = attrs.field(default=32 << 20, validator=_is_positive)
    """The longest answer; what does not fit is answered with an error."""
    end_configured: bool = False
    """Whether a client may end, shorten or refresh a subscription of the configuration. Without it, a refresh is
    answered with OK and changes nothing, and an expire of 0 is refused."""


@attrs.frozen
class NarrowingOptions:
    """What clients of one management interface may do less: the same keys in the table of its plugin."""

    schemes: list[str] | None = attrs.field(default=None, validator=_are_schemes)
    file_roots: list[str] | None = attrs.field(default=None, validator=_are_folders)
    networks: list[str] | None = attrs.field(default=None, validator=_are_networks)
    raise_events: list[str] | None = None
    commands: list[str] | None = None
    end_configured: bool | None = None


NARROWING_KEYS: Final = tuple(field.name for field in attrs.fields(NarrowingOptions))
