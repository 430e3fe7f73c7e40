"""The JSON text of parameters of every kind, and a copy of them: in steps, so that nothing that is raised stops it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from decimal import Decimal
from gc import is_tracked
from typing import Any, Final

import orjson

from evframe_wire.exceptions import ParameterError
from evframe_wire.payload import MAX_DEPTH, MAX_DIGITS, UNSET, ExactNumber, Pairs, encode_text
from evframe_wire.visible import brief

_PLAIN_BITS: Final = 2048  # such an integer is shorter than any limit that Python can have on its text
_BITS_OF_A_DIGIT: Final = 3.321928094887362
_CONTAINERS: Final = {dict, list, tuple}
_ARRAYS: Final = {list, tuple}
_END: Final = object()
_WORDS: Final = {None: b"null", True: b"true", False: b"false"}


def is_shallow(value: dict[str, Any] | list[Any] | tuple[Any, ...]) -> bool:
    """Return whether *value* is nested no deeper than `MAX_DEPTH`, as far as its containers are plain.

    This has to be known before orjson encodes: orjson crashes the process on tuples within tuples
    of some hundred levels.
    """
    for item in value.values() if type(value) is dict else value:
        kind = type(item)
        # A dict that the collector does not track holds no container.
        if is_tracked(item) if kind is dict else kind in _ARRAYS and not _CONTAINERS.isdisjoint(map(type, item)):
            return _is_shallow(value)
    return True


def _is_shallow(value: Any) -> bool:
    level = [value]
    for _ in range(MAX_DEPTH):
        # By identity, so that a container that stands in many places is looked at once a level.
        inner = {
            id(item): item
            for each in level
            for item in (each.values() if type(each) is dict else each)
            if type(item) in _CONTAINERS
        }
        if not inner:
            return True
        level = list(inner.values())
    return False


Leaf = Callable[[Any], tuple[Any, bytes]]
"""Returns a copy of a value that is no container, and its JSON text."""


def encode_value(value: object, most: int = MAX_DEPTH, leaf: Leaf | None = None) -> bytes:
    """Return the JSON text of *value*, which may hold bytes, `Pairs`, and numbers of any length.

    Args:
        value: the value.
        most: how deep it may be nested.
        leaf: encodes what is no container, in place of `encode_leaf`.

    Raises:
        ValueError: if it has none, or is nested deeper.
    """
    return _settle(value, most, leaf or encode_leaf)[1]


def encode_params(event: str, params: Any) -> bytes:
    """Return the JSON text of *params*: a mapping, a sequence of values, or `Pairs`; byte by byte where it must be.

    Raises:
        ParameterError: as `settle_params` does.
    """
    return settle_params(event, params)[1]


def settle_params(event: str, params: Any) -> tuple[Any, bytes]:
    """Return *params* as a dict, a tuple or `Pairs` that later changes do not reach, and their JSON text.

    Raises:
        ParameterError: if a name or a value has no JSON form, or cannot be read; the error names it.
    """
    try:
        kind, entries = _entries(event, params)
    except ParameterError:
        raise
    except Exception as error:  # noqa: BLE001 the methods of a mapping are code of the caller
        raise _unreadable(event, "params", error) from None
    is_array = kind is tuple or (kind is Pairs and (not entries or entries[0][0] is None))
    copies, texts = [], []
    for index, (name, value) in enumerate(entries, 1):
        label = b"" if is_array else _label(event, "" if name is None and kind is Pairs else name)
        if value is UNSET:
            copies.append((name, value))
            continue
        copy, text = _settle_parameter(event, index if is_array else name, value)
        copies.append((name, copy))
        texts.append(label + text)
    body = (b"[%b]" if is_array else b"{%b}") % b",".join(texts)
    return tuple(copy for _, copy in copies) if kind is tuple else kind(copies), body


def _entries(event: str, params: Any) -> tuple[Any, list[tuple[Any, Any]]]:
    """Return names and values of parameters, and what they are: dict, tuple or `Pairs`."""
    if isinstance(params, Mapping):
        return dict, list(params.items())
    if isinstance(params, Pairs):
        for index, pair in enumerate(params, 1):
            if not isinstance(pair, tuple | list) or len(pair) != 2:
                raise ParameterError(event, index, f"expected a pair of a name and a value, got {brief(pair)}")
        return Pairs, list(params)
    if isinstance(params, Sequence) and not isinstance(params, str | bytes | bytearray):
        return tuple, [(None, value) for value in params]
    raise ParameterError(event, "params", f"expected a mapping or a sequence of values, got {brief(params)}")


def _label(event: str, name: Any) -> bytes:
    try:
        return _name(name, encode_leaf) + b":"
    except Exception as error:  # noqa: BLE001 as above
        raise _unreadable(event, name, error) from None


def _settle_parameter(event: str, parameter: object, value: Any) -> tuple[Any, bytes]:
    try:
        return _settle(value, MAX_DEPTH - 1, encode_leaf)
    except Exception as error:  # noqa: BLE001 as above
        raise _unreadable(event, parameter, error) from None


class _Unfit(ValueError):  # noqa: N818 what is wrong with a value
    """Raised for a value without a JSON form, with the sentence that says so."""


def _unreadable(event: str, parameter: object, error: Exception) -> ParameterError:
    problem = (
        str(error) if isinstance(error, _Unfit) else f"expected a value that can be read, got the error {brief(error)}"
    )
    return ParameterError(event, parameter, problem)


class _Opened:
    """A container of which some items are settled."""

    __slots__ = ("_copies", "_is_named", "_items", "_kind", "_name", "_separator", "is_object")

    def __init__(self, kind: Any, items: Iterable[tuple[Any, Any]], *, is_object: bool) -> None:
        self._kind = kind
        self._is_named = kind is dict or kind is Pairs
        self._items = iter(items)
        self._copies: list[Any] = []
        self._separator = b""
        self._name: Any = None
        self.is_object = is_object

    def next_item(self, out: list[bytes], leaf: Leaf) -> Any:
        """Return the next item that has a text, with what stands before it put in *out*; `_END` after the last."""
        for name, item in self._items:
            self._name = name
            if item is UNSET:
                self.add(item)
                continue
            label = b""
            if self.is_object:
                label = _name("" if name is None and self._kind is Pairs else name, leaf) + b":"
            out.append(self._separator + label)
            self._separator = b","
            return item
        return _END

    def add(self, copy: Any) -> None:
        """Take the copy of the item that was the next one."""
        self._copies.append((self._name, copy) if self._is_named else copy)

    def copied(self) -> Any:
        """Return the copy of the container."""
        return self._kind(self._copies)


def _settle(value: Any, most: int, leaf: Leaf) -> tuple[Any, bytes]:
    """Return a copy of *value* and its JSON text; *most* containers may be open at a time.

    The open containers are kept here and not by the interpreter, whose limit is another for each caller.
    """
    out: list[bytes] = []
    opened: list[_Opened] = []
    while True:
        container = _container(value)
        if container is None:
            copy, text = leaf(value)
            out.append(text)
            if not opened:
                return copy, b"".join(out)
            opened[-1].add(copy)
        else:
            if len(opened) == most:
                raise _Unfit(f"expected at most {max(most, MAX_DEPTH)} levels of nesting, got more")
            opened.append(container)
            out.append(b"{" if container.is_object else b"[")
        while (value := opened[-1].next_item(out, leaf)) is _END:
            done = opened.pop()
            out.append(b"}" if done.is_object else b"]")
            if not opened:
                return done.copied(), b"".join(out)
            opened[-1].add(done.copied())


def _container(value: Any) -> _Opened | None:
    """Return the container that *value* is, or None."""
    if isinstance(value, Mapping):
        return _Opened(dict, value.items(), is_object=True)
    if isinstance(value, Pairs):
        if any(not isinstance(pair, tuple | list) or len(pair) != 2 for pair in value):
            raise _Unfit(f"expected pairs of a name and a value, got {brief(tuple(value))}")
        return _Opened(Pairs, value, is_object=bool(value) and value[0][0] is not None)
    if isinstance(value, list | tuple):
        return _Opened(tuple if isinstance(value, tuple) else list, ((None, item) for item in value), is_object=False)
    return None


def encode_leaf(value: Any) -> tuple[Any, bytes]:
    """Return a copy of a value that is no container, and its JSON text."""
    if value is None or value is True or value is False:
        return value, _WORDS[value]
    if isinstance(value, str):
        return value, _text(value)
    if isinstance(value, bytes | bytearray):
        return bytes(value), encode_text(bytes(value))
    if isinstance(value, int):
        return value, _digits(value)
    if isinstance(value, ExactNumber):
        return value, value.text.encode()
    if isinstance(value, float):
        return value, orjson.dumps(float(value))  # null where it is not finite
    raise _Unfit(f"expected str, bytes, int, float, bool, None, a list or a mapping, got {brief(value)}")


def _name(name: Any, leaf: Leaf) -> bytes:
    if not isinstance(name, str | bytes):
        raise _Unfit(f"expected a name of type str, got {brief(name)}")
    return leaf(name)[1]


def _text(text: str) -> bytes:
    if type(text) is str:
        with suppress(TypeError):  # a surrogate
            return orjson.dumps(text)
    try:
        return encode_text(text)
    except UnicodeEncodeError as error:
        near = text[max(0, error.start - 10) : error.start + 10]
        raise _Unfit(f"expected text, got the lone surrogate in {brief(near)}") from None


def _digits(number: int) -> bytes:
    bits = number.bit_length()
    if bits <= _PLAIN_BITS:
        return b"%d" % int(number)
    if bits > MAX_DIGITS * _BITS_OF_A_DIGIT:
        raise _Unfit(f"expected an integer of at most {MAX_DIGITS} digits, got {brief(int(number))}")
    return str(Decimal(int(number))).encode()  # which knows no limit, however Python is set
