"""The table of the configuration."""

from __future__ import annotations

import attrs


@attrs.frozen
class Options:
    """The table ``[plugins.state]``; ``[core] state_path`` is another way to write its option."""

    path: str | None = None
    """The file in which subscriptions made at run time survive a restart, and which may hold passwords. Empty for none.
    Left out, a gateway has one in systemd's ``StateDirectory``, or beside its configuration; a service has none."""
