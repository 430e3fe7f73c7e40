"""What a socket looks like: ``flatstore:path``."""

from __future__ import annotations

import time
from datetime import tzinfo

import attrs

from evframe_flatstore.dates import file_name
from evframe_flatstore.paths import PathTemplate


@attrs.frozen(slots=True)
class FlatSocket:
    """``flatstore:path``."""

    path: str
    suffix: str | None = attrs.field(default=None, eq=False)
    zone: tzinfo | None = attrs.field(default=None, eq=False)
    text: str = attrs.field(default="", eq=False)
    template: PathTemplate | None = attrs.field(default=None, eq=False)

    @property
    def parameters(self) -> tuple[str, ...]:
        """The parameters of the event that the path has."""
        return () if self.template is None else self.template.parameters

    @property
    def files(self) -> tuple[str, ...]:
        """The paths that it writes: with the suffix as it is now."""
        path = self.path if self.template is None else self.template.example
        return (path, file_name(path, self.suffix, time.time(), self.zone))

    @property
    def canonical(self) -> str:
        """The path as it was given, never with the suffix."""
        return f"flatstore:{self.text or self.path}"

    @property
    def expires(self) -> bool:
        """A lease may end."""
        return True
