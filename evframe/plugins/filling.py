"""Fills references, ``${file:/path}`` and ``${env:NAME}``, in secret options of plugins with their values."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any

import attrs
from evframe_options import IS_SECRET, Filled, Reader
from evframe_wire.masking import MASK

from evframe.subscriptions.references import FORMS, Template, Values, has_reference


class FillingReader(Reader):
    """Reads the options of a plugin, with values in place of the references in secrets.

    Args:
        values: returns the values of references.
    """

    def __init__(self, values: Values) -> None:
        super().__init__()
        self._values = values
        self._is_secret = False
        self._filled: dict[str, str] = {}  # the references, by the path of the option
        self._references: dict[str, str] = {}  # by the values

    def read_option(self, value: Any, field: attrs.Attribute[Any], path: str) -> Any:
        """Return the value of one option; each reference in a secret without a value is a problem."""
        if IS_SECRET not in field.metadata:
            return super().read_option(value, field, path)
        count = len(self.problems)
        filled = self._fill(value, path, field.metadata[IS_SECRET])
        if len(self.problems) > count:
            return None
        was, self._is_secret = self._is_secret, True
        try:
            return super().read_option(filled, field, path)
        finally:
            self._is_secret = was

    def read_text(self, value: str) -> str:
        """Return a text; one with references is refused unless it is a secret."""
        if not self._is_secret and has_reference(value):
            raise ValueError(f"expected a text without {FORMS}, which only a secret may have")
        return value

    def explained(self) -> Iterator[str]:
        """Yield the problems without the values of references."""
        for problem in self.problems:
            path = problem.partition(": ")[0]
            named = self._filled.get(path) or next((each for value, each in self._values_of() if value in problem), "")
            yield f"{path}: expected a value that fits its place from {named}" if named else problem

    def _values_of(self) -> Iterator[tuple[str, str]]:
        """Yield each form in which a value may appear in a problem, with its reference."""
        for value, reference in self._references.items():
            for text in (value, repr(value)[1:-1]) if value else ():
                yield text, reference

    def _fill(self, value: Any, path: str, safe: str | None) -> Any:
        if isinstance(value, Mapping):
            return {name: self._fill(item, f"{path}.{name}", safe) for name, item in value.items()}
        if not isinstance(value, str) or "${" not in value:
            return value
        try:
            template = Template(value, self._values)
            # A reference without other text stands for the whole option, such as a whole URL.
            filled = template.filled(None if template.references == (value,) else safe)
        except ValueError as error:
            self.problems.append(f"{path}: {error}")
            return value
        for reference in template.references:
            self._references |= {template.value(reference, each): reference for each in {None, safe}}
        self._filled[path] = " and ".join(template.references)
        return Filled(filled, value)


def shown_option(text: str, show: Callable[[str], str]) -> str:
    """Return the result of *show* for the option *text*, with references in place of their values."""
    if not isinstance(text, Filled):
        return show(text)
    template = Template(text.configured, Values())
    if template.references == (text.configured,):
        return text.configured
    for marked in template.marked():
        with suppress(ValueError):
            return template.unmarked(show(marked))
    return MASK  # the form of the rest depends on a value


def unfilled(options: Any) -> dict[str, Any]:
    """Return the options with references in place of values: equal for options that differ only in these values."""
    return attrs.asdict(
        options, value_serializer=lambda _, __, value: value.configured if isinstance(value, Filled) else value
    )
