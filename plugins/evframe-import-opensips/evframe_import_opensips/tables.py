"""What one module of the original, and one of its parameters, is called here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from evframe_import_opensips import values


@attrs.frozen
class Module:
    """A module of the original."""

    plugin: str | None
    """The plugin that takes its place, by its name in the configuration."""
    note: str = ""
    """What to do instead, or what is different."""
    defaults: Mapping[str, Any] = attrs.field(factory=dict)
    """The options that are set when it is loaded, because nothing listens without them here."""


@attrs.frozen
class ModuleParameter:
    """A parameter of a module of the original."""

    module: str
    """Its module, one of `MODULES`."""
    name: str
    """Its name."""
    option: str | None = None
    """The option that takes its place, in the table of the plugin."""
    convert: values.Convert | None = None
    """From the value, and the option's value so far, to the option's value; None when a person has to do it."""
    note: str = ""
    """What to do instead, or what is different."""


def without_option(module: str, note: str, *names: str) -> tuple[ModuleParameter, ...]:
    """Return parameters that have no option here, all for the reason *note*."""
    return tuple(ModuleParameter(module, name, note=note) for name in names)
