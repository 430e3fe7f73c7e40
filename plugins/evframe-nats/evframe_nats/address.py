"""The sockets of the transport: URLs with servers and a subject, and the patterns that they are compared with."""

from __future__ import annotations

import re
from functools import cached_property
from typing import Any, Final
from urllib.parse import quote

import attrs
from evframe_nats_clients.logins import DEFAULT_PORT, check_subject
from evframe_wire.addresses import shown_authority, without_brackets
from evframe_wire.patterns import fits_stars
from evframe_wire.urls import decoded, host_and_port

from evframe import Event
from evframe.plugin import UNFIT, Template, UnfitError, template_of, template_text

FORM: Final = "expected //[user@]host[:port][,host[:port]…]/subject[?core][&tls]"
_URL: Final = re.compile(r"//([^/?]*)/([^?]*)(?:\?(.*))?", re.DOTALL)
_FLAGS: Final = ("core", "tls")
_INTERNAL: Final = "$"  # what subjects of the servers' own interface begin with: a message there is a command


@attrs.frozen(slots=True)
class NatsSocket:
    """``nats://user@host:4222/subject?core&tls``."""

    hosts: tuple[tuple[str, int], ...]
    subject: str
    user: str | None = None
    core: bool = False
    """Whether messages are published without JetStream."""
    tls: bool = False
    template: Template | None = attrs.field(default=None, eq=False, repr=False)
    reserved: str | None = attrs.field(default=None, eq=False)
    """What clients may not use, for an error."""

    @property
    def parameters(self) -> tuple[str, ...]:
        """The parameters of the event that the subject has."""
        return () if self.template is None else self.template.parameters

    @cached_property  # every batch needs it
    def canonical(self) -> str:
        """A text that can be parsed again, with the ports."""
        flags = "&".join(flag for flag in _FLAGS if getattr(self, flag))
        safe = "/:$+,;=@!~*'()&" + ("{}" if self.template else "")
        return f"nats://{self.authority}/{quote(self.subject, safe=safe)}{'?' if flags else ''}{flags}"

    @property
    def authority(self) -> str:
        """The user and the servers."""
        hosts = ",".join(f"{host}:{port}" for host, port in self.hosts)
        return hosts if self.user is None else f"{quote(self.user, safe='')}@{hosts}"

    @property
    def expires(self) -> bool:
        """A lease may end."""
        return True

    @property
    def endpoints(self) -> tuple[tuple[str, int], ...]:
        """Where the servers are."""
        return tuple((without_brackets(host), port) for host, port in self.hosts)

    @property
    def server(self) -> tuple[Any, ...]:
        """What subscribers share a connection by, beside the login."""
        return (self.hosts, self.user, self.tls)

    def subject_for(self, event: Event) -> str:
        """Return the subject of the message for *event*.

        Raises:
            UnfitError: if a parameter is missing, or makes no subject.
        """
        if self.template is None:
            return self.subject
        try:
            return _published(self.template.text_of(event))
        except UnfitError:
            raise
        except ValueError:
            raise UnfitError(UNFIT) from None


def _published(subject: str) -> str:
    if subject.startswith(_INTERNAL):
        raise ValueError(f"expected a subject without {_INTERNAL} in front, got {subject!r}")
    return check_subject(subject)


def parse(rest: str) -> NatsSocket:
    """Return the socket of *rest*, what follows ``nats:``.

    Raises:
        ValueError: if the text does not fit.
    """
    found = _URL.fullmatch(rest)
    if found is None:
        raise ValueError(f"{FORM}, got another text")
    user, at, hosts = found[1].rpartition("@")
    if ":" in user:
        raise ValueError(f"{FORM} without a password, whose place is [[plugins.nats.servers]]")
    flags = found[3].split("&") if found[3] else []
    for flag in flags:
        if flag not in _FLAGS:
            raise ValueError(f"expected the parameters core and tls, got {flag!r}")
    text = decoded(template_text(found[2]))
    template = template_of(text)
    _published(text if template is None else template.filled(lambda _: "x"))
    servers = tuple(host_and_port(each, DEFAULT_PORT) for each in hosts.split(","))
    return NatsSocket(servers, text, decoded(user) if at else None, "core" in flags, "tls" in flags, template)


def shown(rest: str) -> str:
    """Return the text of a socket that was refused, without the user: it may be a password or a token."""
    authority, slash, tail = rest.partition("/") if not rest.startswith("//") else rest[2:].partition("/")
    return f"nats://{shown_authority(authority)}{slash}{tail.partition('?')[0].rpartition('@')[2]}"


@attrs.frozen
class Pattern:
    """What the sockets of a login match: the hosts and the subject, each by itself."""

    authority: str
    subject: str

    @classmethod
    def of(cls, text: str) -> Pattern:
        """Return the pattern of *text*, a URL with ``*`` in its host or its subject, or ``*`` for all.

        Raises:
            ValueError: if it is none.
        """
        if text == "*":
            return cls("*", "*")
        found = re.fullmatch(r"nats://([^/?@,]+)(?:/([^?]*))?", text)
        if found is None:
            raise ValueError("expected '*', or nats://host[:port][/subject] with * for any text, got another text")
        has_port = ":" in found[1].rpartition("]")[2]
        authority = found[1].lower() if has_port else f"{found[1].lower()}:{DEFAULT_PORT}"
        return cls(authority, found[2] or "*")

    def fits(self, target: NatsSocket) -> bool:
        """Return whether *target* is one that is meant: each of its hosts gets the login."""
        hosts = (f"{host}:{port}" for host, port in target.hosts)
        return fits_stars(target.subject, self.subject) and all(fits_stars(each, self.authority) for each in hosts)
