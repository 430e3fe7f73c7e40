"""The options of the bridge: the table ``[plugins.opensips]``."""

from __future__ import annotations

import ipaddress
import itertools
import os
import re
from typing import Any, Final, Literal

import attrs
from evframe_client import parse_url
from evframe_client.urls import without_password
from evframe_wire.addresses import without_brackets
from evframe_wire.endpoints import is_loopback, octal_mode

from evframe.plugin import are_named_apart, at_least, secret, shown_option, within
from evframe_opensips.catalogue import Choice, catalogue, is_of_the_core, modules

_PORTS: Final = re.compile(r"([0-9]{1,5})-([0-9]{1,5})")
_MAX_PATH_BYTES: Final = 107
_WILDCARDS: Final = frozenset({"0.0.0.0", "::"})  # noqa: S104 compared, not bound


def _url(_: Any, attribute: attrs.Attribute[str], value: str) -> None:
    try:
        parse_url(value)
    except ValueError as error:
        raise ValueError(f"{attribute.name}: {error}") from None


def _token(options: InstanceOptions, attribute: attrs.Attribute[str | None], value: str | None) -> None:
    if value is not None and (not value or not value.isascii() or not value.isprintable()):
        raise ValueError(f"{attribute.name}: expected one line of ASCII")
    if value is not None and options.token_file is not None:
        raise ValueError(f"{attribute.name}: expected either it or token_file")


def _name(_: Any, attribute: attrs.Attribute[str], value: str) -> None:
    if not value or "/" in value or not value.isprintable():
        raise ValueError(f"{attribute.name}: expected text without '/', got {value!r}")


def _host(_: Any, attribute: attrs.Attribute[str], value: str | None) -> None:
    if value is not None and (not re.fullmatch(r"[^\s:/]+|\[[0-9A-Fa-f:.%\w]+\]", value)):
        raise ValueError(f"{attribute.name}: expected a host or [ipv6] without a port, got {value!r}")


def _address(_: Any, attribute: attrs.Attribute[str], value: str) -> None:
    try:
        ipaddress.ip_address(without_brackets(value))
    except ValueError:
        raise ValueError(f"{attribute.name}: expected an IP address of this host, got {value!r}") from None


def _ports(_: Any, attribute: attrs.Attribute[str | None], value: str | None) -> None:
    found = None if value is None else _PORTS.fullmatch(value)
    if value is not None and (found is None or not 1 <= int(found[1]) <= int(found[2]) <= 65535):
        raise ValueError(f"{attribute.name}: expected first-last such as '20000-20099', got {value!r}")


def _modules(_: Any, attribute: attrs.Attribute[list[str]], value: list[str]) -> None:
    unknown = sorted(set(value) - modules()) if value else []
    if unknown:
        raise ValueError(f"{attribute.name}: expected of {sorted(modules())}, got {unknown[0]!r}")


def _shown_url(url: str) -> str:
    return shown_option(url, without_password)


@attrs.frozen
class InstanceOptions:
    """One ``[[plugins.opensips.instances]]``: a live OpenSIPS, or another gateway."""

    name: str = attrs.field(validator=_name)
    """What it is called here."""
    url: str = attrs.field(validator=_url, repr=_shown_url, metadata=secret(in_url=True))
    """Its management interface: ``http://…``, ``https://…``, ``http+unix://…``, ``udp://…``, ``unix://…`` or ``fifo://…``."""
    transport: Literal["udp", "tcp", "unix"] = "udp"
    """How it sends its events, with its module event_datagram (`udp`, `unix`) or event_stream (`tcp`)."""
    port: int = attrs.field(default=0, validator=within(0, 65535))
    """The port at which its events arrive; 0 takes one of `ports`."""
    advertise: str | None = attrs.field(default=None, validator=_host)
    """The host at which it reaches this gateway, when that is not the address that is listened at."""
    path: str | None = None
    """Where the socket of the transport `unix` is made."""
    token_file: str | None = None
    """A file with the token for its management interface, read whenever the gateway attaches to it."""
    token: str | None = attrs.field(default=None, validator=_token, repr=False, metadata=secret())
    """The token itself, instead of ``token_file``; best a reference such as ``${env:OPENSIPS_TOKEN}``."""

    def __attrs_post_init__(self) -> None:
        if self.transport != "unix":
            if self.path is not None:
                raise ValueError(f"path: expected none with the transport {self.transport!r}, got {self.path!r}")
            return
        size = len(os.fsencode(self.path or ""))
        if self.path is None or not self.path.startswith("/") or size > _MAX_PATH_BYTES or "\0" in self.path:
            raise ValueError(f"path: expected an absolute path of at most {_MAX_PATH_BYTES} bytes, got {self.path!r}")

    @property
    def shown_url(self) -> str:
        """Its URL without the password, with references in place of their values."""
        return shown_option(self.url, without_password)

    @property
    def host(self) -> str | None:
        """The host of its management interface; None when that is a path."""
        place = parse_url(self.url).place
        return None if place is None else place[0]


@attrs.frozen
class Options:
    """What is bridged, from where, and how its events come here."""

    instances: list[InstanceOptions] = attrs.field(factory=list, validator=are_named_apart)
    """Where the events come from, as tables ``[[plugins.opensips.instances]]``."""
    modules: list[str] = attrs.field(factory=list, validator=_modules)
    """The modules whose events are bridged; without `modules` and `events` it is all of them but `core`."""
    events: list[str] = attrs.field(factory=list)
    """Patterns of the names of further events, such as ``E_SCRIPT_*``."""
    listen: str = attrs.field(default="127.0.0.1", validator=_address)
    """The address at which events arrive over `udp` and `tcp`; ``0.0.0.0`` and ``::`` are all of this host."""
    ports: str | None = attrs.field(default=None, validator=_ports)
    """The ports that may be used, first and last, such as ``20000-20099``; any without it."""
    unix_socket_mode: str = attrs.field(default="660", validator=octal_mode)
    """The permissions of the sockets of the transport `unix`."""
    receive_buffer_bytes: int = attrs.field(default=4 << 20, validator=within(4096, 2**31 - 1))
    """What the kernel may hold of an instance's datagrams, up to its own limit `net.core.rmem_max`."""
    max_message_bytes: int = attrs.field(default=1 << 20, validator=at_least(65_536))
    """The longest event on a connection."""
    instance_param: str = "opensips_instance"
    """The parameter with the instance's name, the last one of events that have named parameters; empty for none."""
    expire_s: int = attrs.field(default=600, validator=at_least(4))
    """The leases at the instances; they are renewed before half of that has passed."""
    check_interval_s: float = attrs.field(default=5.0, validator=at_least(0.05))
    """How often an instance is asked whether it still has the leases, and whether it has further events."""
    timeout_s: float = attrs.field(default=2.0, validator=at_least(0.05))
    """How long the answer to a management command may take, and leaving an instance at the end."""

    def __attrs_post_init__(self) -> None:
        if self.check_interval_s * 4 > self.expire_s:
            raise ValueError(f"check_interval_s: expected at most a quarter of expire_s, got {self.check_interval_s!r}")
        if self.instances and any(self.instance_param in event.params for event in catalogue().values()):
            raise ValueError(
                f"instance_param: expected a name that no event has for a parameter, got {self.instance_param!r}"
            )
        self._check_paths()
        self._check_core_events()
        for index, instance in enumerate(self.instances):
            place = f"instances[{index}]"
            if self._is_out_of_reach(instance):
                raise ValueError(
                    f"listen: expected an address that {place} ({instance.name!r}) can reach, got {self.listen!r}"
                )

    def _check_paths(self) -> None:
        """Refuse a path that is the beginning of another one: OpenSIPS takes the two for the same subscriber."""
        paths = sorted((instance.path, instance.name) for instance in self.instances if instance.path is not None)
        for (path, name), (longer, other) in itertools.pairwise(paths):
            if longer.startswith(path):
                raise ValueError(
                    f"instances: expected paths of which none is the beginning of another one,"
                    f" got {path!r} ({name!r}) and {longer!r} ({other!r})"
                )

    def _check_core_events(self) -> None:
        """Refuse events of the core without the instance's name: this gateway raises its own by the same names."""
        if self.instance_param or not self.instances:
            return
        chosen = [event.name for event in Choice(self.modules, self.events).known() if is_of_the_core(event.name)]
        if chosen:
            raise ValueError(
                f"instance_param: expected a name, because {chosen[0]} of an instance"
                " differs from that of this gateway in it alone, got ''"
            )

    def _is_out_of_reach(self, instance: InstanceOptions) -> bool:
        host = instance.host
        if host is None or instance.advertise is not None or instance.transport == "unix":
            return False
        return is_loopback(self.listen) and not is_loopback(host)

    @property
    def address(self) -> str:
        """The address to listen at, without brackets."""
        return without_brackets(self.listen)

    @property
    def listens_everywhere(self) -> bool:
        """Whether the address is no address that anybody can send to."""
        return self.address in _WILDCARDS

    @property
    def port_range(self) -> range:
        """The ports to try, in order; port 0 is any."""
        found = None if self.ports is None else _PORTS.fullmatch(self.ports)
        return range(1) if found is None else range(int(found[1]), int(found[2]) + 1)
