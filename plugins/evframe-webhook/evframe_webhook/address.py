"""The sockets of the transport: URLs without a user, of which some are for the configuration alone."""

from __future__ import annotations

import attrs
from evframe_http.public import is_permitted
from evframe_http.urls import UrlSocket

from evframe.plugin import Network, numeric


@attrs.frozen(slots=True)
class WebhookSocket(UrlSocket):
    """``https://host[:port][/path][?query]``; ``http:`` without TLS."""

    reserved: str | None = attrs.field(default=None, eq=False)
    """What makes the socket one of the configuration alone; None for nothing."""


def parse(scheme: str, rest: str, *, mask_paths: bool = False, networks: tuple[Network, ...] = ()) -> WebhookSocket:
    """Return the socket of *rest*.

    Args:
        scheme: ``http`` or ``https``.
        rest: what follows the colon.
        mask_paths: whether nothing of its path is shown.
        networks: those that run-time clients may subscribe though they are not public.

    Raises:
        ValueError: if the text does not fit.
    """
    found = WebhookSocket.parse(scheme, rest, mask_paths=mask_paths)
    addresses = numeric(found.host, found.port) or ()
    is_private = not all(is_permitted(address.ip, networks) for address in addresses)
    return attrs.evolve(found, reserved="addresses that are not public") if is_private else found
