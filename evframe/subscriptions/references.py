"""References in configured sockets, ``${file:/path}`` and ``${env:NAME}``: their values, and how listings show them."""

from __future__ import annotations

import copy
import hashlib
import os
import re
import weakref
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from evframe_options import regular_file

from evframe.delivery.sockets import REFUSED

if TYPE_CHECKING:
    from evframe.delivery.sockets import Socket

FORMS: Final = "${file:/path} or ${env:NAME}"
_MARK: Final = re.compile(r"\$\{(?:file|env):")
_PARTS: Final = re.compile(r"(\$\$\{|\$\{(?:file|env):[^{}]*\}|\$\{)")
_MOST_BYTES: Final = 65_536
_LETTERS: Final = str.maketrans("0123456789abcdef", "ghijklmnopqrstuv")


def has_reference(text: object) -> bool:
    """Return whether *text* holds a reference."""
    return isinstance(text, str) and "${" in text and _MARK.search(text) is not None


class Values:
    """The values of references, each read once for a configuration; a reload reads the values again."""

    def __init__(self) -> None:
        self._known: dict[str, str] = {}

    def of(self, reference: str) -> str:
        """Return the value of *reference*.

        Raises:
            ValueError: if the value is missing, or a socket cannot contain it.
        """
        if reference not in self._known:
            kind, _, name = reference[2:-1].partition(":")
            self._known[reference] = _checked(_read_file(name) if kind == "file" else _read_variable(name), reference)
        return self._known[reference]


class Template:
    """A configured socket's text with its references.

    Args:
        text: the text.
        values: returns the values.

    Raises:
        ValueError: if a text that begins like a reference is no reference.
    """

    def __init__(self, text: str, values: Values) -> None:
        self.text = text
        """The configured text."""
        self._values = values
        self._parts = _PARTS.split(text)
        if "${" in self._parts:
            raise ValueError(f"expected {FORMS}, or $${{ for ${{ itself")

        self.references = tuple(dict.fromkeys(part for part in self._parts[1::2] if part != "$${"))
        """Each reference, once."""

    def filled(self, safe: str | None) -> str:
        """Return the text with the values.

        Args:
            safe: the characters of a value that stay; others are percent-encoded. None keeps all characters.

        Raises:
            ValueError: if a value is missing.
        """
        return self._with(lambda reference: self.value(reference, safe))

    def value(self, reference: str, safe: str | None) -> str:
        """Return the value of one reference, as `filled` puts it in."""
        value = self._values.of(reference)
        return value if safe is None else quote(value, safe=safe)

    def marked(self) -> Iterator[str]:
        """Yield the text with a mark in place of each value: once with words, once with numbers, which fit ports."""
        yield self._with(_word)
        yield self._with(_number)

    def unmarked(self, text: str) -> str:
        """Return *text* with the references in place of their marks."""
        for reference in self.references:
            text = text.replace(_word(reference), reference).replace(_number(reference), reference)
        return text

    def _with(self, value_of: Callable[[str], str]) -> str:
        pieces = list(self._parts)
        pieces[1::2] = ["${" if part == "$${" else value_of(part) for part in self._parts[1::2]]
        return "".join(pieces)


def renamed(socket: Socket, canonical: str) -> Socket:
    """Return *socket* with another canonical text and all other attributes unchanged."""
    if socket.canonical == canonical:
        return socket
    named = copy.copy(socket)
    object.__setattr__(named, "__class__", _class(type(socket), canonical))
    with suppress(TypeError):  # a transport may look up its parsed sockets by weak references
        weakref.finalize(named, id, socket).atexit = False
    return named


@lru_cache(maxsize=4096)
def _class(kind: type, canonical: str) -> Any:
    # Cached by the text: sockets of different classes would never be equal.
    return type(kind.__name__, (kind,), {"__slots__": (), "canonical": property(lambda _: canonical)})


def _word(reference: str) -> str:
    """Return the mark for a value: letters, which fit a name, a password, a path or a topic."""
    return hashlib.blake2b(reference.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest().translate(_LETTERS)


def _number(reference: str) -> str:
    """Return the mark for a value in the position of a port."""
    return str(40_000 + int(hashlib.blake2b(reference.encode("utf-8", "surrogatepass")).hexdigest(), 16) % 20_000)


def _checked(value: str, reference: str) -> str:
    if not value:  # an empty password is most likely a mistake
        raise ValueError(f"expected a text as the value of {reference}, got an empty one")
    if REFUSED.search(value) or "\t" in value:
        raise ValueError(f"expected one line of text without control characters as the value of {reference}")
    return value


def _read_variable(name: str) -> str:
    value = os.environ.get(name) if name else None
    if value is None:
        raise ValueError(f"expected the variable of ${{env:{name}}} in the environment, got none")
    return value


def _read_file(path: str) -> str:
    """Return the text of a file without the newline at its end."""
    place = f"${{file:{path}}}"
    if not os.path.isabs(path):
        raise ValueError(f"expected an absolute path in {place}")
    try:
        with regular_file(path) as file:
            raw = None if file is None else file.read(_MOST_BYTES + 1)
    except (OSError, ValueError) as error:
        problem = error.strerror if isinstance(error, OSError) else error
        raise ValueError(f"expected a file that can be read in {place}: {problem}") from None
    if raw is None or len(raw) > _MOST_BYTES:
        raise ValueError(f"expected a file of at most {_MOST_BYTES} bytes in {place}")
    try:
        return raw.decode().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        raise ValueError(f"expected UTF-8 in the file of {place}") from None
