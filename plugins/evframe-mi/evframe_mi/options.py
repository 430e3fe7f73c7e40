"""The options: the table ``[management]``, and the keys of it in the table of a management interface."""

from __future__ import annotations

import os
from typing import Final

import attrs
from evframe_options import are_networks, each

from evframe.plugin import at_least

ALL: Final = "*"
"""Any scheme, event or command."""


_ARE_SCHEMES: Final = each(lambda scheme: bool(scheme) and ":" not in scheme, "schemes such as 'udp', or '*'")
_ARE_FOLDERS: Final = each(lambda folder: os.path.isabs(folder) and "\0" not in folder, "absolute paths")


@attrs.frozen
class ManagementOptions:
    """What run-time clients may do, over every management interface: the table ``[management]``."""

    schemes: list[str] | None = attrs.field(default=None, validator=_ARE_SCHEMES)
    """The schemes that may be subscribed, ``"*"`` for all. Without it: udp, tcp, unix, xmlrpc, xmlrpcs, rabbitmq and
    kafka, and those that write files where there are ``file_roots``. A virtual socket is judged by its members."""
    file_roots: list[str] = attrs.field(factory=list, validator=_ARE_FOLDERS)
    """The folders below which files may be subscribed; links are followed before they are compared."""
    networks: list[str] | None = attrs.field(default=None, validator=are_networks)
    """The networks that may be subscribed, such as ``10.0.0.0/8``; without it any. Numeric hosts are compared when
    they are subscribed, names whenever they are resolved."""
    raise_events: list[str] = attrs.field(factory=lambda: [ALL])
    """The events that may be raised, as patterns of their names."""
    commands: list[str] = attrs.field(factory=lambda: [ALL])
    """The commands that may be called, as patterns of any of their names."""
    batch_requests: int = attrs.field(default=1000, validator=at_least(1))
    """How many requests one batch may have; a longer one is refused as a whole."""
    answer_bytes: int = attrs.field(default=32 << 20, validator=at_least(1))
    """The longest answer; what does not fit is answered with an error."""
    end_configured: bool = False
    """Whether a client may end, shorten or refresh a subscription of the configuration. Without it, a refresh is
    answered with OK and changes nothing, and an expire of 0 is refused."""


@attrs.frozen
class Options:
    """The table ``[plugins.mi]``; ``[management]`` is another way to write its option."""

    management: ManagementOptions = attrs.field(factory=ManagementOptions)
    """What run-time clients may do, over every management interface."""


@attrs.frozen(kw_only=True)
class NarrowingOptions:
    """The base of the options of a management interface: what its clients may do less than `ManagementOptions` say."""

    schemes: list[str] | None = attrs.field(default=None, validator=_ARE_SCHEMES)
    file_roots: list[str] | None = attrs.field(default=None, validator=_ARE_FOLDERS)
    networks: list[str] | None = attrs.field(default=None, validator=are_networks)
    raise_events: list[str] | None = None
    commands: list[str] | None = None
    end_configured: bool | None = None


NARROWING_KEYS: Final = tuple(field.name for field in attrs.fields(NarrowingOptions))
