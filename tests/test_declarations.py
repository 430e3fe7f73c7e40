"""The compiled check of a declaration beside the check that names what is wrong."""

from collections import UserDict
from enum import IntEnum

import pytest
from evframe_declarations import Parameter, declare
from evframe_wire.payload import Pairs
from hypothesis import given
from hypothesis import strategies as st

from evframe.events.event import EventDefinition
from evframe.exceptions import ParameterError

NAMES = (
    "ip",
    "hits",
    "load",
    "up",
    "tags",
    "more",
    "",
    "n0",
    "given",
    "é",
    "\ud800",
    "') or True #",
    "x\n",
    "__class__",
)


class Text(str):
    __slots__ = ()


class Number(IntEnum):
    ONE = 1


class Odd:
    def __hash__(self):
        return hash("ip")

    def __eq__(self, other):
        raise RuntimeError

    def __repr__(self):
        return "Odd()"


kinds = st.sampled_from([str, int, float, bool, list, dict])
parameters = st.one_of(kinds, st.builds(Parameter, kinds, st.booleans()))
declared = st.dictionaries(st.sampled_from(NAMES), parameters, max_size=12)
pairs = st.just(Pairs(((None, 1),)))
values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 5),
    st.floats(allow_nan=False),
    st.sampled_from(["", "a", Text("a"), Number.ONE, b"a", [], [1], (1,), {}, {"a": 1}, UserDict(), Odd()]),
    pairs,
)
FITTING = {
    str: st.text("ab"),
    int: st.integers(-5, 5),
    float: st.one_of(st.floats(allow_nan=False), st.integers(-5, 5)),
    bool: st.booleans(),
    list: st.just([1]),
    dict: st.just({"a": 1}),
}


@st.composite
def raised(draw):
    """Draw a declaration and parameters for it, of which most fit, or nearly do."""
    declaration = declare("E_A", draw(declared))
    params = {}
    for name, parameter in declaration.params.items():
        if draw(st.integers(0, 9)) or not parameter.optional:
            params[draw(st.sampled_from([name] * 8 + [Text(name)]))] = draw(
                st.one_of(*[FITTING[parameter.type]] * 8, values)
            )
    if not draw(st.integers(0, 9)):
        strange = [*NAMES, 7, None, *([] if "ip" in params else [Odd()])]  # which cannot be beside "ip"
        params[draw(st.sampled_from(strange))] = draw(values)
    if params and not draw(st.integers(0, 9)):
        del params[draw(st.sampled_from(list(params)))]
    kind = draw(st.sampled_from([dict] * 6 + [UserDict, list, tuple, Pairs, "nothing", "text", "reversed"]))
    if kind in {list, tuple}:
        return declaration, kind(params.values())
    if kind == "reversed":
        return declaration, dict(reversed(params.items()))
    if kind is Pairs:
        entries = list(params.items())
        return declaration, Pairs(entries + entries[: draw(st.integers(0, 2))]) if entries else Pairs()
    if isinstance(kind, str):
        return declaration, {"nothing": None, "text": "text"}[kind]
    return declaration, kind(params)


def said(check, params):
    """Return the type and the words of the error; None without one."""
    try:
        check(params)
    except Exception as error:
        return type(error), str(error)
    return None


@given(raised())
def test_what_fits_at_a_look_is_what_the_check_accepts(case):
    """The compiled check accepts what `check` accepts, for plain dicts with plain names and values; nothing else."""
    declaration, params = case
    fits = declaration.fits(params)

    assert type(fits) is bool
    if fits:
        assert said(declaration.check, params) is None
    plain = type(params) is dict and all(type(name) is str for name in params)
    exact = plain and all(
        name in declaration.params and (value is None or type(value) in _exact(declaration.params[name].type))
        for name, value in params.items()
    )
    if exact and said(declaration.check, params) is None:
        assert fits


@given(raised())
def test_a_raise_says_what_the_check_says(case):
    """A raise is refused with the error that `check` names, and only then or when the parameters cannot be sent."""
    declaration, params = case
    definition = EventDefinition(0, "E_A", declaration)
    undeclared = EventDefinition(0, "E_A")
    expected = said(declaration.check, params)

    for _ in range(2):  # the first raise compiles
        got = said(lambda params: definition.snapshot(params, 0.0), params)
        assert got == (expected or said(lambda params: undeclared.snapshot(params, 0.0), params))


def _exact(kind):
    return {float, int} if kind is float else {kind}


def test_names_are_no_source(capsys):
    """A name that would be code is a name."""
    name = "a'); print('run') #"
    declaration = declare("E_A", {name: str, 'b"]': Parameter(int, optional=True)})

    assert declaration.fits({name: "a"})
    assert declaration.fits({name: "a", 'b"]': 1})
    assert not declaration.fits({"a": "a"})
    assert capsys.readouterr().out == ""


def test_the_look_of_one_declaration_is_not_that_of_another():
    """Declarations of the same shape share a source, and keep their names and types."""
    first, second = declare("E_A", {"a": str, "b": int}), declare("E_A", {"b": int, "c": bool})

    assert first.fits({"a": "x", "b": 1})
    assert second.fits({"b": 1, "c": True})
    assert not first.fits({"b": 1, "c": True})
    assert not second.fits({"b": 1, "c": 1})
    assert first == declare("E_A", {"a": str, "b": int})


@pytest.mark.parametrize("key", [Odd(), 7, None])
def test_keys_that_cannot_be_compared(key):
    """A key of any class is unknown, and named so."""
    with pytest.raises(ParameterError, match="expected"):
        EventDefinition(0, "E_A", declare("E_A", {"ip": str})).snapshot({key: "x"}, 0.0)


def test_a_thousand_parameters():
    """A declaration may be long."""
    declaration = declare("E_A", {f"p{number}": int for number in range(1000)})
    params = {f"p{number}": number for number in range(1000)}

    assert declaration.fits(params)
    assert not declaration.fits({**params, "p999": "x"})
