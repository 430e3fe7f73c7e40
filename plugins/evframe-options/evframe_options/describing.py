"""Descriptions of options, for pages and commented files: the docstrings of the fields of an attrs class."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Mapping
from typing import Any, Final, Literal, Union, get_args, get_origin

import attrs

FROM_OTHERS: Final = object()
"""The default of an option that depends on the other options."""


@attrs.frozen
class Option:
    """One option of an attrs class."""

    name: str
    type: Any
    meaning: str
    """The docstring of its field, in one line; empty where the source of the class is not installed."""
    default: Any
    """`attrs.NOTHING` for an option that is required, and `FROM_OTHERS`."""
    validator: Any = None
    """That of its field."""
    metadata: Mapping[str, Any] = attrs.field(factory=dict)
    """Those of its field."""

    @property
    def kind(self) -> str:
        """The type, as a reader would write it."""
        return kind_text(self.type)

    @property
    def table(self) -> type | None:
        """The attrs class of an option that is a table, or an array of tables."""
        return tables_of(self.type)

    @property
    def is_array(self) -> bool:
        """Whether its value is a list."""
        return get_origin(self.type) is list


def options_of(options: type, *, inherited: bool = False) -> list[Option]:
    """Return the options of an attrs class in their order, without those of its bases unless *inherited*.

    A base with a true attribute `is_described_with_each` is a part of each class that is based on it.
    """
    attrs.resolve_types(options)
    texts: dict[str, str] = {}
    names: set[str] = set()
    for each in reversed(options.__mro__):
        if attrs.has(each) and (inherited or each is options or vars(each).get("is_described_with_each")):
            texts |= field_texts(each)
            names |= {field.name for field in attrs.fields(each) if not field.inherited}
    return [
        Option(field.name, field.type, texts.get(field.name, ""), _default(field), field.validator, field.metadata)
        for field in attrs.fields(options)
        if field.init and field.name in names
    ]


def _default(field: attrs.Attribute[Any]) -> Any:
    default: Any = field.default
    if isinstance(default, attrs.Factory):  # type: ignore[arg-type]
        return FROM_OTHERS if default.takes_self else default.factory()
    return default


def field_texts(options: type) -> dict[str, str]:
    """Return the docstring below each field of a class, in one line; none where the source is not installed."""
    try:
        (tree,) = ast.parse(textwrap.dedent(inspect.getsource(options))).body
    except (OSError, SyntaxError):
        return {}
    assert isinstance(tree, ast.ClassDef)
    texts = {}
    for field, text in zip(tree.body, tree.body[1:], strict=False):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and isinstance(text, ast.Expr):
            assert isinstance(text.value, ast.Constant)
            texts[field.target.id] = " ".join(inspect.cleandoc(str(text.value.value)).split())
    return texts


def sentence(thing: object) -> str:
    """Return the first paragraph of a docstring in one line, with names between single marks."""
    return " ".join((inspect.getdoc(thing) or "").split("\n\n")[0].split()).replace("``", "`")


def kind_text(kind: Any) -> str:
    """Return the type of a field as a reader would write it."""
    if get_origin(kind) is Union and type(None) in get_args(kind):  # of a Literal, which `|` makes one of
        inner = [each for each in get_args(kind) if each is not type(None)]
        return " | ".join(map(kind_text, [*inner, None]))
    if get_origin(kind) is Literal:
        return " | ".join(f'"{value}"' if isinstance(value, str) else str(value) for value in get_args(kind))
    if tables_of(kind) is not None:
        return "tables" if get_args(kind) else "table"
    return (
        kind.__name__ if isinstance(kind, type) and not get_args(kind) else re.sub(r"\b[a-z]\w*\.(?=\w)", "", str(kind))
    )


def tables_of(kind: Any) -> type | None:
    """Return the attrs class of a field that is a table, or a list of tables."""
    inner = get_args(kind)[0] if get_origin(kind) is list else kind
    return inner if isinstance(inner, type) and attrs.has(inner) else None
