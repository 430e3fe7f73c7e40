"""How a client logs in to a NATS: the options that every plugin has for it."""

from __future__ import annotations

import re
from typing import Any, Final

import attrs

from evframe.plugin import is_readable, secret

_IS_SECRET: Final = secret()
_SUBJECT: Final = re.compile(r"[^\s.*>\x00-\x20\x7f]+(\.[^\s.*>\x00-\x20\x7f]+)*")
_MOST_SUBJECT: Final = 1024  # bytes: a server takes 4096 for the line with it and with the reply subject
DEFAULT_PORT: Final = 4222


def check_subject(subject: str) -> str:
    """Return *subject*, to which a message may be published.

    Raises:
        ValueError: if it has a wildcard, an empty token, a blank or a control character, or more than 1024 bytes.
    """
    try:
        fits = _SUBJECT.fullmatch(subject) and len(subject.encode()) <= _MOST_SUBJECT
    except UnicodeEncodeError:
        fits = False
    if not fits:
        raise ValueError(f"expected a subject of at most {_MOST_SUBJECT} bytes without wildcards and blanks")
    return subject


def _prefix(_: Any, attribute: attrs.Attribute[Any], value: str) -> None:
    try:
        check_subject(value)
    except ValueError as error:
        raise ValueError(f"{attribute.name}: {error}, got {value!r}") from None


@attrs.frozen
class LoginOptions:
    """How a server lets us in; without any of these, as anybody."""

    user: str | None = None
    """The user; beside a token or a file, a name by which sockets choose them."""
    password: str | None = attrs.field(default=None, repr=False, metadata=_IS_SECRET)
    """The password of the user."""
    token: str | None = attrs.field(default=None, repr=False, metadata=_IS_SECRET)
    """A token, in the place of a user with a password."""
    creds_file: str | None = attrs.field(default=None, validator=is_readable)
    """A file with the JWT of a user and its seed, as ``nsc`` writes it; read at every login."""
    nkey_file: str | None = attrs.field(default=None, validator=is_readable)
    """A file with the seed of an NKey; read at every login."""
    inbox_prefix: str = attrs.field(default="_INBOX", validator=_prefix)
    """What the subjects begin with on which the server answers, for a user that may subscribe no others."""
    tls_first: bool = False
    """Begin TLS before the server has said anything, as its option ``handshake_first`` wants it."""
