"""The built-in functions: section 3.5 of CESQL 1.0, and the casts INT, BOOL and STRING.

A function is known by its name and the number of its arguments, which are cast to the types that it names.
"""

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from evframe_cesql.casting import Value, within
from evframe_cesql.errors import EvaluationError


class Function(NamedTuple):
    """A function: the types of its arguments and of its result, and what calculates it.

    `more` is the type of any further arguments, None when there can be none. `width` returns the greatest length of a
    string that is the result, for those of the arguments.
    """

    arguments: tuple[type, ...]
    result: type
    call: Callable[..., Value]
    more: type | None = None
    width: Callable[[list[int]], int] = sum


# What Unicode gives the property White_Space; str.strip would take four control characters, too.
_WHITE_SPACE: Final = "".join(
    map(chr, [*range(9, 14), 32, 0x85, 0xA0, 0x1680, *range(0x2000, 0x200B), 0x2028, 0x2029, 0x202F, 0x205F, 0x3000])
)


def _left(text: str, count: int) -> str:
    if count < 0:
        raise EvaluationError("functionEvaluation", "LEFT")
    return text[:count]


def _right(text: str, count: int) -> str:
    if count < 0:
        raise EvaluationError("functionEvaluation", "RIGHT")
    return text[-count:] if count else ""


def _substring(text: str, position: int, length: int | None = None) -> str:
    if abs(position) > len(text) or (length is not None and length < 0):
        raise EvaluationError("functionEvaluation", "SUBSTRING")
    if position == 0:
        return ""
    start = position - 1 if position > 0 else len(text) + position
    return text[start:] if length is None else text[start : start + length]


def _trim(text: str) -> str:
    return text.strip(_WHITE_SPACE)


def _joined(widths: list[int]) -> int:
    return sum(widths) + widths[0] * len(widths)


def _cased(widths: list[int]) -> int:
    return 3 * sum(widths)  # one character can have three in capitals


def _identity(value: Any) -> Any:
    return value


FUNCTIONS: Final[dict[str, tuple[Function, ...]]] = {
    "ABS": (Function((int,), int, lambda value: within(abs(value))),),
    "BOOL": (Function((bool,), bool, _identity),),
    "CONCAT": (Function((), str, lambda *texts: "".join(texts), more=str),),
    "CONCAT_WS": (Function((str,), str, lambda delimiter, *texts: delimiter.join(texts), more=str, width=_joined),),
    "INT": (Function((int,), int, _identity),),
    "LEFT": (Function((str, int), str, _left),),
    "LENGTH": (Function((str,), int, len),),
    "LOWER": (Function((str,), str, str.lower, width=_cased),),
    "RIGHT": (Function((str, int), str, _right),),
    "STRING": (Function((str,), str, _identity),),
    "SUBSTRING": (Function((str, int), str, _substring), Function((str, int, int), str, _substring)),
    "TRIM": (Function((str,), str, _trim),),
    "UPPER": (Function((str,), str, str.upper, width=_cased),),
}


def find(name: str, count: int) -> tuple[Function, tuple[type, ...]] | None:
    """Return the function of that name for so many arguments, and the type of each of them."""
    for function in FUNCTIONS.get(name, ()):
        further = count - len(function.arguments)
        if further == 0 or (further > 0 and function.more is not None):
            return function, (*function.arguments, *(further * (function.more,)))  # type: ignore[arg-type]
    return None
