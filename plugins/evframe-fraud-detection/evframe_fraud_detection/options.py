"""The options of the source: the table ``[plugins.fraud-detection]``."""

from __future__ import annotations

import attrs

from evframe.plugin import at_least, file_digests
from evframe_fraud_detection.rules import Rule


@attrs.frozen
class Options:
    """The rules, and how much is remembered."""

    use_utc_time: bool = False
    """Have days and hours be those of UTC instead of local time."""
    rules: list[Rule] = attrs.field(factory=list)
    """The rules, each a table with the columns of the original's."""
    rules_file: str | None = None
    """A file with more rules, `.csv` or TOML, which the command `fraud_detection:reload` reads again."""
    max_counters: int = attrs.field(default=100_000, validator=at_least(1))
    """How many pairs of a user and a prefix are remembered; then the one not used for longest leaves."""
    contents: tuple[bytes | None, ...] = file_digests("rules_file")
