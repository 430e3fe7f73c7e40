"""Who may make a request: one that brings the token, or the name and the password."""

from __future__ import annotations

import base64
import hmac
import logging
import os
from collections.abc import Iterator

import attrs

from evframe.plugin import LogLimiter, read_secret


@attrs.frozen(kw_only=True)
class Credentials:
    """What requests have to bring; nothing where neither a token nor a name is set."""

    token_file: str | None = None
    """A file with the token, which is used before `token`."""
    token: str | None = attrs.field(default=None, repr=False)
    username: str | None = None
    """The name that is brought with the password; beside a token either of the two will do."""
    password_file: str | None = None
    """A file with the password, which is used before `password`."""
    password: str | None = attrs.field(default=None, repr=False)
    realm: str = "evframe"
    """What a request without them learns that they are for."""

    @property
    def asks(self) -> bool:
        """Whether a request has to bring something."""
        return self.token_file is not None or self.token is not None or self.username is not None

    @property
    def challenges(self) -> list[str]:
        """The values of ``WWW-Authenticate``."""
        found = []
        if self.token_file is not None or self.token is not None:
            found.append(f'Bearer realm="{self.realm}"')
        if self.username is not None:
            found.append(f'Basic realm="{self.realm}"')
        return found


class Guard:
    """Distinguishes requests that may be made from others, in a time that does not show how close they were.

    The files are read again when a request is refused and one of them has changed since: a client that has
    the new token can have the configuration loaded again.

    Args:
        credentials: what requests have to bring; the files are read now.
        log: of the plugin.

    Raises:
        ValueError: if a file cannot be used.
    """

    def __init__(self, credentials: Credentials, log: logging.Logger) -> None:
        self._credentials = credentials
        self._log = log
        self._limiter = LogLimiter()
        self.challenges = credentials.challenges
        """The values of ``WWW-Authenticate``."""
        self._versions = self._look()
        self._wanted = list(self._read())

    def _read(self) -> Iterator[bytes]:
        known = self._credentials
        if known.token_file is not None:
            yield b"bearer " + read_secret(known.token_file).encode()
        elif known.token is not None:
            yield b"bearer " + known.token.encode()
        if known.username is not None:
            password = known.password
            if known.password_file is not None:
                password = read_secret(known.password_file)
            pair = f"{known.username}:{password}".encode()
            yield b"basic " + base64.b64encode(pair)

    def _look(self) -> list[tuple[int, int, int] | None]:
        """Return what changes when a file is written or replaced."""
        versions: list[tuple[int, int, int] | None] = []
        for path in (self._credentials.token_file, self._credentials.password_file):
            try:
                found = None if path is None else os.stat(path)
            except OSError:
                found = None
            versions.append(None if found is None else (found.st_ino, found.st_mtime_ns, found.st_size))
        return versions

    def _has_changed(self) -> bool:
        """Read the files if one has changed, and return whether that was so; what cannot be read changes nothing."""
        versions = self._look()
        if versions == self._versions:
            return False
        try:
            wanted = list(self._read())
        except ValueError as error:
            repeated = self._limiter.due("unreadable")
            if repeated is not None:
                extra = {"problem": str(error), "repeated": repeated}
                self._log.warning("a changed token or password cannot be used", extra=extra)
            return False
        self._versions, self._wanted = versions, wanted
        self._log.info("a changed token or password was read")
        return True

    @property
    def asks(self) -> bool:
        """Whether a request has to bring something."""
        return bool(self._wanted)

    def allows(self, authorization: str | None) -> bool:
        """Return whether a request with this header may be made."""
        return not self._wanted or self._fits(authorization) or (self._has_changed() and self._fits(authorization))

    def _fits(self, authorization: str | None) -> bool:
        scheme, _, credentials = (authorization or "").partition(" ")
        given = f"{scheme.lower()} {credentials.strip()}".encode("utf-8", "surrogateescape")
        return any([hmac.compare_digest(given, wanted) for wanted in self._wanted])  # noqa: C419 all are compared
