"""The plugin: the dialect of filters that `where` has without a prefix, and with `cesql:`."""

from __future__ import annotations

from typing import Final

import pluggy

from evframe_cesql.filters import Filter, compile_filter

# The core's marker is another object with the same name: the library needs no core.
_hookimpl: Final = pluggy.HookimplMarker("evframe")


class CesqlPlugin:
    """Compiles the filters of policies."""

    kind = "extension"

    @_hookimpl
    def compile_filter(self, dialect: str, text: str) -> Filter | None:
        """Return the filter of an expression; FilterError, a ValueError, when it is not valid."""
        return compile_filter(text) if dialect in {"", "cesql"} else None
