"""What holds for a socket: the options of the plugin, and those of the first target that fits."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import attrs
from evframe_cloudevents import Formats
from evframe_http.signatures import key_of
from evframe_http.urls import UrlPattern, UrlSocket

from evframe_webhook.options import Options, TargetOptions


@attrs.frozen
class Target:
    """How requests to a socket are made."""

    format: str
    timeout_s: float
    max_in_flight: int
    max_pause_s: float
    headers: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    reserved: str | None = None
    """What makes its sockets those of the configuration alone; None for nothing."""
    keys: tuple[bytes, ...] = attrs.field(default=(), repr=False)
    origin: str | None = None


def targets_of(options: Options) -> Callable[[UrlSocket], Target]:
    """Return what finds the target of a socket."""
    made = [(UrlPattern.of(each.url), _target(options, each)) for each in options.targets]
    other = _target(options, TargetOptions("*"))

    def find(socket: UrlSocket) -> Target:
        return next((target for pattern, target in made if pattern.fits(socket)), other)

    return find


class TargetFormats(Formats):
    """The formats of the subscribers.

    Args:
        options: of the plugin.
        find: finds the target of a socket.
    """

    def __init__(self, options: Options, find: Callable[[UrlSocket], Target]) -> None:
        super().__init__(options.format)
        self._find = find

    def of(self, canonical: str) -> str:
        """Return the format of the subscriber with this canonical socket; a part of its path may be masked."""
        scheme, _, rest = canonical.partition(":")
        try:
            return self._find(UrlSocket.parse(scheme, rest)).format
        except ValueError:
            return super().of(canonical)


def _target(options: Options, own: TargetOptions) -> Target:
    secrets = (own.secret, own.previous_secret)
    return Target(
        own.format or options.format,
        (own.timeout_ms or options.timeout_ms) / 1000,
        own.max_in_flight or options.max_in_flight,
        options.max_retry_after_s,
        own.headers,
        "headers for any host" if own.headers and "*" in UrlPattern.of(own.url).host else None,
        tuple(key_of(secret) for secret in secrets if secret is not None),
        own.origin,
    )
