"""The options of the plugin: the table ``[plugins.metrics]``."""

from __future__ import annotations

from typing import Any

import attrs
from evframe_wire.endpoints import is_loopback, parse_endpoint

from evframe.plugin import at_least, file_digests, read_secret


def _bind(options: Options, attribute: attrs.Attribute[str], value: str) -> None:
    try:
        target = parse_endpoint(value)
    except ValueError as error:
        raise ValueError(f"{attribute.name}: {error}") from None
    if isinstance(target, str):
        raise ValueError(f"{attribute.name}: expected host:port, got {value!r}")  # noqa: TRY004 a text of another form
    if not is_loopback(target[0]) and options.token_file is None:
        raise ValueError(
            f"{attribute.name}: expected a loopback address where there is no token_file, got {value!r};"
            " bind to 127.0.0.1, or set token_file"
        )


def _secret(_: Any, attribute: attrs.Attribute[str | None], value: str | None) -> None:
    if value is not None:
        try:
            read_secret(value)
        except ValueError as error:
            raise ValueError(f"{attribute.name}: {error}") from None


@attrs.frozen
class Options:
    """Where metrics are served, and how detailed they are."""

    bind: str = attrs.field(default="127.0.0.1:9464", validator=_bind)
    """``host:port`` or ``[ipv6]:port`` for ``/metrics``, ``/livez`` and ``/readyz``; port 0 takes a free one.
    An address that others can reach needs ``token_file``. Nothing is opened without the table ``[plugins.metrics]``."""
    detail: bool = False
    """Whether subscribers have series, beside the sums over all of them."""
    max_series: int = attrs.field(default=10_000, validator=at_least(0))
    """How many series subscribers may have together, five each; the others are summed up as ``other``."""
    delays: bool = True
    """Whether the delays of deliveries are measured, which takes some time of each batch."""
    required_failing_s: float = attrs.field(default=30.0, validator=at_least(0))
    """For how long deliveries to a required subscriber may fail before ``/readyz`` answers 503."""
    token_file: str | None = attrs.field(default=None, validator=_secret)
    """A file that others cannot read, with the token that requests for ``/metrics`` have to bring as
    ``Authorization: Bearer``."""
    secrets: tuple[bytes | None, ...] = file_digests("token_file")

    @property
    def target(self) -> tuple[str, int]:
        """The host and port of ``bind``."""
        target = parse_endpoint(self.bind)
        assert not isinstance(target, str)
        return target
