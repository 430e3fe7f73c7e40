"""Functions that are compiled for the parameters of an event."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

from evframe_wire.payload import STRICT
from orjson import dumps

from evframe_declarations.parameter import Field, Parameter

_GROUP: Final = 50


def compiled(params: Mapping[str, Parameter]) -> Callable[[Any], bool]:
    """Return a function that checks whether a plain dict has exactly these parameters and types.

    The function returns False for everything that `check` has to decide: other mappings, sequences, subclasses, errors.
    """
    kinds = tuple((parameter.optional, parameter.type is float) for parameter in params.values())
    bound = [each for name, parameter in params.items() for each in (name, parameter.type)]
    fits: Callable[[Any], bool] = _maker(kinds)(*bound)
    return fits


@lru_cache(maxsize=256)
def _maker(kinds: tuple[tuple[bool, bool], ...]) -> Callable[..., Callable[[Any], bool]]:
    """Return the maker of the function for parameters with these properties: optional or not, float or not.

    A loop over names and types takes a quarter longer than one expression, whose source is therefore generated here.
    Names and types are passed as arguments, so that the source has only numbers and no text of a declaration.
    """
    tests, size = [], [str(sum(not optional for optional, _ in kinds))]
    for number, (optional, is_float) in enumerate(kinds):
        value, name = f"given[n{number}]", f"n{number}"
        test = _test(value, number, is_float=is_float)
        tests.append(f"({name} not in given or {test})" if optional else f"({test})")
        if optional:
            size.append(f"({name} in given)")
    return _executed(f"""
def make({", ".join(f"n{number}, t{number}" for number in range(len(kinds)))}):
    def fits(given):
        try:
            return {" and ".join(["type(given) is dict", f"len(given) == {_sum(size)}", *tests])}
        except Exception:  # a name that is missing; and the methods of a key may raise
            return False
    return fits
""")


def _sum(terms: Sequence[str]) -> str:
    """Return the source of a sum; in groups, because Python compiles a sum of thousands by as many nested calls."""
    while len(terms) > _GROUP:
        groups = (terms[begin : begin + _GROUP] for begin in range(0, len(terms), _GROUP))
        terms = [f"({' + '.join(group)})" for group in groups]
    return " + ".join(terms)


def compiled_body(event_type: Any) -> Callable[[Any], bytes | None]:
    """Return a function that returns the JSON text of the parameters of an event of a class.

    The function returns None when the types of the values are not exactly the declared ones, and for a value without
    a JSON form. It has no answer for a class with a parameter that may be left out, or that contains others.
    """
    fields: Sequence[Field] = event_type.__fields__
    parameters = [field.parameter for field in fields]
    if not fields or any(each.optional or each.type in {list, dict} for each in parameters):
        return lambda _: None
    numbers = range(len(fields))
    tests = [_test(f"v{number}", number, is_float=parameters[number].type is float) for number in numbers]
    encoder = None
    if all(field.name == field.attribute and field.parameter.type is not float for field in fields):
        encoder = _encoder_of(event_type)
    given = f"{{{', '.join(f'n{number}: v{number}' for number in numbers)}}}"
    make = _executed(f"""
def make(encode, strict, {", ".join(f"n{number}, t{number}" for number in numbers)}):
    def body(event):
        {"; ".join(f"v{number} = event.{fields[number].attribute}" for number in numbers)}
        if {" and ".join(f"({test})" for test in tests)}:
            try:
                return {f"encode({given}, None, strict)" if encoder is None else "encode(event)"}
            except Exception:
                return None
    return body
""")
    bound = [each for field in fields for each in (field.name, field.parameter.type)]
    body: Callable[[Any], bytes | None] = make(encoder or dumps, STRICT, *bound)
    return body


def _encoder_of(event_type: Any) -> Callable[[Any], bytes] | None:
    """Return what writes the bytes of a dict without one, where the library for that is installed.

    The texts that it writes for floats are not always the same.
    """
    if not hasattr(event_type, "__struct_fields__"):
        return None
    from msgspec.json import Encoder  # noqa: PLC0415 it is optional

    return Encoder().encode


def _test(value: str, number: int, *, is_float: bool) -> str:
    """Return the source of the test that a value has its type, or is null."""
    return f"type({value}) is t{number} or {value} is None" + (f" or type({value}) is int" if is_float else "")


def _executed(source: str) -> Callable[..., Any]:
    namespace: dict[str, Any] = {}
    exec(source, namespace)  # noqa: S102 the source has only numbers, and attributes that are identifiers
    make: Callable[..., Any] = namespace["make"]
    return make
