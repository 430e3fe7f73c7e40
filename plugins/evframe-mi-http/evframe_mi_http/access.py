"""Who may make a request: one that brings the token, or the name and the password."""

from __future__ import annotations

import base64
import hmac
import logging
import os
from collections.abc import Iterator

from evframe.plugin import LogLimiter, read_secret
from evframe_mi_http.options import Options

log = logging.getLogger("evframe.mi-http")


class Guard:
    """Distinguishes requests that may be made from others, in a time that does not show how close they were.

    The files are read again when a request is refused and one of them has changed since: a client that has
    the new token can have the configuration loaded again.
    """

    def __init__(self, options: Options) -> None:
        self._options = options
        self._limiter = LogLimiter()
        self.challenges: list[str] = []
        """The values of ``WWW-Authenticate``."""
        if options.token_file is not None or options.token is not None:
            self.challenges.append(f'Bearer realm="{options.auth_realm}"')
        if options.auth_username is not None:
            self.challenges.append(f'Basic realm="{options.auth_realm}"')
        self._versions = self._look()
        self._wanted = list(self._read())

    def _read(self) -> Iterator[bytes]:
        options = self._options
        if options.token_file is not None:
            yield b"bearer " + read_secret(options.token_file).encode()
        elif options.token is not None:
            yield b"bearer " + options.token.encode()
        if options.auth_username is not None:
            password = options.auth_password
            if options.auth_password_file is not None:
                password = read_secret(options.auth_password_file)
            pair = f"{options.auth_username}:{password}".encode()
            yield b"basic " + base64.b64encode(pair)

    def _look(self) -> list[tuple[int, int, int] | None]:
        """Return what changes when a file is written or replaced."""
        versions: list[tuple[int, int, int] | None] = []
        for path in (self._options.token_file, self._options.auth_password_file):
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
                log.warning("a changed token or password cannot be used", extra=extra)
            return False
        self._versions, self._wanted = versions, wanted
        log.info("a changed token or password was read")
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
