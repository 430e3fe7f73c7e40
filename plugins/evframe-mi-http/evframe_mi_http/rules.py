"""What holds for the requests to one interface, as its options say."""

from __future__ import annotations

import logging
import ssl

import attrs
from evframe_http import Guard, OriginGuard
from evframe_wire.endpoints import parse_endpoint

from evframe_mi_http.options import Options

log = logging.getLogger("evframe.mi-http")


@attrs.frozen
class Rules:
    """Who may ask, and how."""

    options: Options
    guard: Guard
    origins: OriginGuard
    tls: ssl.SSLContext | None


def rules_of(options: Options) -> Rules:
    """Return what *options* say.

    Raises:
        ValueError: if a file with a secret cannot be used.
    """
    target = parse_endpoint(options.bind)
    origins = OriginGuard(None if isinstance(target, str) else target[0], options.hosts, options.origins)
    return Rules(options, Guard(options.credentials, log), origins, options.tls())
