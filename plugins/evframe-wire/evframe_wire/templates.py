"""Texts with parameters of the event, such as the file name ``{method}.log`` or the routing key ``calls.{caller}``."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final, Protocol

from evframe_wire.encoding import encode_leaf
from evframe_wire.payload import UNSET

_PARTS: Final = re.compile(r"(\{\{|\{[^{}]+\}|\{)")
_ENCODED: Final = re.compile(r"%7[Bb]")
_MIXED: Final = re.compile(r"\{[^{}]*%7[BbDd]")
MISSING: Final = "missing_parameter"
"""The reason of an event without a parameter that the text needs."""
UNFIT: Final = "unfit_parameter"
"""The reason of an event whose parameter cannot be part of the text."""


class HasParameters(Protocol):
    """An event, as far as a template reads it."""

    def get(self, name: str | int) -> Any:
        """Return the value of a parameter by its name or position, `UNSET` when there is none."""


class UnfitError(ValueError):
    """Raised when the text cannot be filled from an event.

    Args:
        reason: `MISSING` or `UNFIT`, for `Batch.fail`.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Template:
    """A text with parameters in braces; ``{{`` is a brace.

    A number in braces is the position of a parameter, counted from 1, unless a parameter has the number as its name.

    Args:
        text: the text.
        encode: encodes the text of a value for its position, such as a file name.

    Raises:
        ValueError: if a brace opens and no name with a closing one follows.
    """

    def __init__(self, text: str, encode: Callable[[str], str] = str) -> None:
        pieces = _PARTS.split(text)
        if "{" in pieces[1::2]:
            raise ValueError(f"expected a parameter in braces, or {{{{ for a brace, got {text!r}")
        self._encode = encode
        self._pieces: list[str] = []
        self._names: list[tuple[int, str]] = []
        for index, piece in enumerate(pieces):
            if index % 2 and piece != "{{":
                self._names.append((len(self._pieces), piece[1:-1]))
            self._pieces.append("{" if index % 2 else piece)

    @property
    def parameters(self) -> tuple[str, ...]:
        """The names of the parameters."""
        return tuple(name for _, name in self._names)

    @property
    def before(self) -> str:
        """The text before the first parameter."""
        return "".join(self._pieces[: self._names[0][0]] if self._names else self._pieces)

    def text_of(self, event: HasParameters) -> str:
        """Return the text for *event*.

        Raises:
            UnfitError: if the event lacks a parameter, or a parameter is neither text nor a number.
        """
        return self.filled(lambda name: value_of(event, name))

    def filled(self, value: Callable[[str], str]) -> str:
        """Return the text with what *value* returns for each parameter."""
        pieces = self._pieces.copy()
        for index, name in self._names:
            pieces[index] = self._encode(value(name))
        return "".join(pieces)


def template_of(text: str, encode: Callable[[str], str] = str) -> Template | None:
    """Return *text* as a template; None for a text without braces.

    Raises:
        ValueError: as for `Template`.
    """
    return Template(text, encode) if "{" in text else None


def template_text(text: str) -> str:
    """Return *text*, which is percent-encoded, with its encoded braces escaped, so that they open no parameter.

    Raises:
        ValueError: if an encoded brace stands within the braces of a parameter.
    """
    if _MIXED.search(text.replace("{{", "")):
        raise ValueError(f"expected a parameter in braces without %7B and %7D, got {text!r}")
    return _ENCODED.sub("{{", text)


def value_of(event: HasParameters, name: str) -> str:
    """Return the text of a parameter; the text of a number is that in the payload.

    Raises:
        UnfitError: if the event lacks the parameter, or its value is neither text nor a number.
    """
    value = event.get(name)
    if value is None and name.isascii() and name.isdigit() and len(name) < 5:
        value = event.get(int(name))
    if value is None or value is UNSET:
        raise UnfitError(MISSING)
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int | float):
        return encode_leaf(value)[1].decode()
    if isinstance(value, bytes):
        return value.decode("utf-8", "surrogateescape")
    raise UnfitError(UNFIT)
