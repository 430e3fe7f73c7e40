"""Who may make a request: one that brings the token, or the name and the password."""

from __future__ import annotations

import base64
import hmac

from evframe.secret import read_secret
from evframe_mi_http.options import Options


class Guard:
    """Tells requests that may be made from others, without telling by the time it takes how close they were.

    The files are read once.
    """

    def __init__(self, options: Options) -> None:
        self._wanted: list[bytes] = []
        self.challenges: list[str] = []
        """The values of ``WWW-Authenticate``."""
        if options.token_file is not None:
            self._wanted.append(b"bearer " + read_secret(options.token_file).encode())
            self.challenges.append(f'Bearer realm="{options.auth_realm}"')
        if options.auth_username is not None and options.auth_password_file is not None:
            pair = f"{options.auth_username}:{read_secret(options.auth_password_file)}".encode()
            self._wanted.append(b"basic " + base64.b64encode(pair))
            self.challenges.append(f'Basic realm="{options.auth_realm}"')

    @property
    def asks(self) -> bool:
        """Whether a request has to bring something."""
        return bool(self._wanted)

    def allows(self, authorization: str | None) -> bool:
        """Return whether a request with this header may be made."""
        if not self._wanted:
            return True
        scheme, _, credentials = (authorization or "").partition(" ")
        given = f"{scheme.lower()} {credentials.strip()}".encode("utf-8", "surrogateescape")
        return any([hmac.compare_digest(given, wanted) for wanted in self._wanted])  # noqa: C419 all are compared
