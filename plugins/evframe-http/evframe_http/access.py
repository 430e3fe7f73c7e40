"""Who may make requests to one server, as the options of its plugin say."""

from __future__ import annotations

import logging
import ssl
from collections.abc import Sequence
from typing import Generic, Protocol, TypeVar

import attrs
from evframe_wire.endpoints import parse_endpoint

from evframe_http.guard import Credentials, Guard
from evframe_http.origin import OriginGuard


@attrs.frozen
class Asking:
    """What a request says about where it comes from."""

    hosts: Sequence[str]
    origin: str | None
    site: str | None
    authorization: str | None
    tokens: Sequence[str | None] = ()
    """What it has in places where web pages can put a token; None for a place without one."""


class Refused(Exception):  # noqa: N818 what happens to a request, which is no error of this process
    """A request is not answered as it asks for.

    Args:
        status: of HTTP.
        problem: in a sentence.
    """

    def __init__(self, status: int, problem: str) -> None:
        super().__init__(problem)
        self.status = status
        self.problem = problem


class ServerOptions(Protocol):
    """The options of a plugin that has a server."""

    @property
    def bind(self) -> str | None:
        """The address; None for none."""

    @property
    def hosts(self) -> Sequence[str]:
        """Further names that clients may use in ``Host``."""

    @property
    def credentials(self) -> Credentials:
        """What requests have to bring."""

    def tls(self) -> ssl.SSLContext | None:
        """Return what connections are encrypted with, or None."""


OptionsT = TypeVar("OptionsT", bound=ServerOptions)


class Access(Generic[OptionsT]):
    """The rules.

    Args:
        options: of the plugin; the files are read now.
        log: of the plugin.
        origins: the web pages of others that may make requests.

    Raises:
        ValueError: if a file with a secret cannot be used.
        OSError: if the certificate cannot.
    """

    def __init__(self, options: OptionsT, log: logging.Logger, origins: Sequence[str] = ()) -> None:
        self.options = options
        self.guard = Guard(options.credentials, log)
        """Compares what requests bring."""
        target = None if options.bind is None else parse_endpoint(options.bind)
        self.origins = OriginGuard(target[0] if isinstance(target, tuple) else None, options.hosts, origins)
        """Refuses requests of web pages of others."""
        self.tls: ssl.SSLContext | None = options.tls()
        """What connections are encrypted with, or None."""

    def problem(self, asking: Asking, *, is_known: bool) -> str | None:
        """Return why a request may not come from where it does, or None; *is_known* is whether it has the token."""
        return self.origins.problem(asking.hosts, asking.origin, asking.site, is_known=is_known)
