"""Fills references, ``${file:/path}`` and ``${env:NAME}``, in secret options of plugins with their values."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any, get_args, get_origin

import attrs
from evframe_wire.masking import MASK

from evframe.config.secret import IS_SECRET, Filled
from evframe.subscriptions.references import FORMS, Template, Values, has_reference


class Filling:
    """Puts values in place of the references in one table.

    Args:
        values: returns the values of references.
        problems: the list that gets the errors of references.
    """

    def __init__(self, values: Values, problems: list[str]) -> None:
        self._values = values
        self.problems = problems
        self._filled: dict[str, str] = {}
        self._missing: list[str] = []
        self._references: dict[str, str] = {}

    def table(self, table: Mapping[str, Any], kind: type, path: str) -> dict[str, Any]:
        """Return *table*, which stands at *path* and has the options of the attrs class *kind*, with the values."""
        fields = {field.name: field for field in attrs.fields(attrs.resolve_types(kind))}
        return {name: self._option(value, fields.get(name), f"{path}.{name}") for name, value in table.items()}

    def explained(self, problems: Iterable[str]) -> Iterator[str]:
        """Yield the problems of the filled table, without the values of references.

        A place with a missing value is skipped, because it has a problem already.
        """
        for problem in problems:
            if problem.startswith(tuple(self._missing)):
                continue
            path = problem.partition(": ")[0]
            named = self._filled.get(path) or next((each for value, each in self._values_of() if value in problem), "")
            yield f"{path}: expected a value that fits its place from {named}" if named else problem

    def _values_of(self) -> Iterator[tuple[str, str]]:
        """Yield each form in which a value may appear in a problem, with its reference."""
        for value, reference in self._references.items():
            for text in (value, repr(value)[1:-1]) if value else ():
                yield text, reference

    def _option(self, value: Any, field: attrs.Attribute[Any] | None, path: str) -> Any:
        if field is None:
            return value  # `structure` reports unknown keys
        if IS_SECRET in field.metadata:
            return self._secret(value, path, field.metadata[IS_SECRET])
        return self._inner(value, field.type, path)

    def _inner(self, value: Any, kind: Any, path: str) -> Any:
        inner = next(filter(attrs.has, (kind, *get_args(kind))), None)
        if isinstance(value, list):
            return [self._inner(item, inner, f"{path}[{index}]") for index, item in enumerate(value)]
        if isinstance(value, Mapping):
            if inner is not None and get_origin(kind) is not dict:
                return self.table(value, inner, path)
            return {name: self._inner(item, inner, f"{path}.{name}") for name, item in value.items()}
        if has_reference(value):
            self.problems.append(f"{path}: expected a text without {FORMS}, which only a secret may have")
        return value

    def _secret(self, value: Any, path: str, safe: str | None) -> Any:
        if isinstance(value, Mapping):
            before = len(self._missing)
            filled = {name: self._secret(item, f"{path}.{name}", safe) for name, item in value.items()}
            self._missing += [f"{path}: "] if len(self._missing) > before else []
            return filled
        return self._text(value, path, safe) if isinstance(value, str) and "${" in value else value

    def _text(self, value: str, path: str, safe: str | None) -> str:
        try:
            template = Template(value, self._values)
            # A reference without other text stands for the whole option, such as a whole URL.
            filled = template.filled(None if template.references == (value,) else safe)
        except ValueError as error:
            self.problems.append(f"{path}: {error}")
            self._missing.append(f"{path}: ")
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
