"""A configuration that tests write anew, and have loaded again."""

from __future__ import annotations

import json
from importlib.metadata import entry_points
from pathlib import Path

from evframe.interface import EventInterface
from evframe.plugins.compose import GROUP


class ConfigFile:
    """A file with the configuration of an interface that has some of the installed plugins.

    Args:
        path: of the file.
        plugins: the names of the only plugins that are loaded.
    """

    def __init__(self, path: str | Path, *plugins: str) -> None:
        self.path = Path(path)
        others = sorted({entry.name for entry in entry_points(group=GROUP)} - {*plugins})
        self._head = f"[plugins]\ndisable = {json.dumps(others)}\n"

    def write(self, text: str = "") -> None:
        """Write *text*, in TOML, as the configuration."""
        self.path.write_text(self._head + text, encoding="utf-8")

    def interface(self, text: str = "") -> EventInterface:
        """Return an interface with the configuration *text*, which `EventInterface.reload` reads again."""
        self.write(text)
        return EventInterface.from_toml(self.path)
