"""The options of the plugin: the table ``[plugins.metrics]``."""

from __future__ import annotations

import attrs
from evframe_http import Credentials, fields
from evframe_wire.endpoints import parse_endpoint

from evframe.plugin import at_least, file_digests


def _identifiers(_: Options, attribute: attrs.Attribute[list[str]], value: list[str]) -> None:
    for each in value:
        group, _slash, identifier = each.partition("/")
        if not (group and identifier):
            raise ValueError(f"{attribute.name}: expected group/identifier, got {each!r}")


@attrs.frozen
class Options:
    """Where metrics are served, and how detailed they are."""

    bind: str = attrs.field(
        default="127.0.0.1:9464", validator=fields.bind(lambda options: options.credentials.asks, "no token_file")
    )
    """``host:port`` or ``[ipv6]:port`` for ``/metrics``, ``/livez`` and ``/readyz``; port 0 takes a free one.
    An address that others can reach needs ``token_file``. Nothing is opened without the table ``[plugins.metrics]``."""
    detail: bool = False
    """Whether subscribers have series, beside the sums over all of them."""
    max_series: int = attrs.field(default=10_000, validator=at_least(0))
    """How many series subscribers may have together, five each; the others are summed up as ``other``."""
    delays: bool = True
    """Whether the delays of deliveries are measured, which takes some time of each batch."""
    required_failing_s: float = attrs.field(default=30.0, validator=at_least(0))
    """For how long deliveries to a required subscriber may fail, or a required status may be negative, before
    ``/readyz`` answers 503."""
    required_status: list[str] = attrs.field(factory=lambda: ["fleet/brokers"], validator=_identifiers)
    """Identifiers of status, ``group/identifier``, that have to be positive where they exist."""
    token_file: str | None = attrs.field(default=None, validator=fields.secret_file)
    """A file that others cannot read, with the token that requests for ``/metrics`` have to bring as
    ``Authorization: Bearer``."""
    secrets: tuple[bytes | None, ...] = file_digests("token_file")

    @property
    def credentials(self) -> Credentials:
        """What requests for the metrics have to bring."""
        return Credentials(token_file=self.token_file)

    @property
    def target(self) -> tuple[str, int]:
        """The host and port of ``bind``."""
        target = parse_endpoint(self.bind)
        assert not isinstance(target, str)
        return target
