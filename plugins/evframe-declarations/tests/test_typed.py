"""Classes of events, with the library that makes instances fast and without it."""

import importlib
import pickle
import sys
from typing import Annotated, Any, ClassVar, Literal

import evframe_declarations
import pytest
from evframe_declarations import EventType, declaration_of, declare, event_of, name_of, param, params_of
from evframe_wire.encoding import encode_params
from evframe_wire.exceptions import ParameterError
from evframe_wire.payload import Pairs
from hypothesis import example, given
from hypothesis import strategies as st


class Blocked(EventType, name="E_BLOCKED"):
    """An address has reached its limit.

    More is not its summary.
    """

    ip: str = param(summary="Blocked source address.")
    hits: int = 3
    load: float | None = None
    call_id: str | None = param(default=None, name="call-id")


class Address(EventType):
    """What others inherit."""

    aor: str
    domain: str


class Contact(Address, name="E_CONTACT"):
    uri: str


@pytest.fixture(params=["msgspec", "dataclasses"])
def kind(request, monkeypatch):
    """Return the package with the library, or as it is imported where that is missing."""
    if request.param == "msgspec":
        yield evframe_declarations
        return
    monkeypatch.setitem(sys.modules, "msgspec", None)
    names = [name for name in sys.modules if name.partition(".")[0] == "evframe_declarations"]
    for name in names:
        monkeypatch.delitem(sys.modules, name)
    yield importlib.import_module("evframe_declarations")


def made_by(package):
    """Return classes as those above, of *package*."""

    class Made(package.EventType, name="E_MADE"):
        """Something was made."""

        ip: str
        hits: int = 3
        up: bool = True
        load: float | None = None

    return Made


def test_instances(kind):
    """An instance has its fields, is equal to one with the same values, can be copied by pickle, and is not changed."""
    made_class = made_by(kind)
    event = made_class("192.0.2.1")

    assert (event.ip, event.hits, event.load) == ("192.0.2.1", 3, None)
    assert event == made_class(ip="192.0.2.1", hits=3)
    assert event != made_class("192.0.2.2")
    assert len({event, made_class("192.0.2.1")}) == 1
    assert repr(event).endswith("Made(ip='192.0.2.1', hits=3, up=True, load=None)")
    for change in (lambda: setattr(event, "ip", "x"), lambda: delattr(event, "ip"), lambda: setattr(event, "x", 1)):
        with pytest.raises(AttributeError):
            change()
    for arguments in ((), ("a", 1, True, 1.0, 2)):
        with pytest.raises(TypeError):
            made_class(*arguments)
    assert pickle.loads(pickle.dumps(Contact("a", "b", "c"))) == Contact("a", "b", "c")


def test_declaration(kind):
    """The class is the declaration: names, types, what may be left out, and what it means."""
    declaration = kind.declaration_of(made_by(kind))

    expected = {"ip": str, "hits": int, "up": bool, "load": kind.Parameter(float, optional=True)}
    assert declaration == kind.declare("E_MADE", expected, summary="Something was made.")
    assert list(declaration.params) == list(expected)


def test_summaries_and_names():
    """The first paragraph of the docstring is the summary, and a parameter may have a name that is no identifier."""
    declaration = declaration_of(Blocked)

    assert declaration.summary == "An address has reached its limit."
    assert declaration.params["ip"].summary == "Blocked source address."
    assert params_of(Blocked("a", call_id="c")) == {"ip": "a", "hits": 3, "call-id": "c"}
    assert event_of(Blocked, {"ip": "a", "hits": 3, "call-id": "c"}) == Blocked("a", call_id="c")
    assert name_of(Blocked) == name_of("E_BLOCKED") == "E_BLOCKED"
    assert declare(Blocked, None) is declaration


def test_fields_are_inherited():
    """The fields of a class without a name come first, and such a class is no event."""
    assert list(declaration_of(Contact).params) == ["aor", "domain", "uri"]
    assert params_of(Contact("a", "b", "c")) == {"aor": "a", "domain": "b", "uri": "c"}
    for wrong in (Address, EventType, int, "E_CONTACT", None):
        with pytest.raises(TypeError, match="expected a class of events with a name"):
            declaration_of(wrong)


def test_annotations():
    """What an annotation says beside the type is for the reader and the type checker; class variables are no fields."""

    class Odd(EventType, name="E_ODD"):
        one: Annotated[str, "what it means"]
        two: Literal["a", "b"]
        three: list[int]
        four: dict[str, Any] | None
        kept: ClassVar[int] = 7

    assert {name: each.type for name, each in declaration_of(Odd).params.items()} == {
        "one": str,
        "two": str,
        "three": list,
        "four": dict,
    }
    assert params_of(Odd("x", "a", [1], None)) == {"one": "x", "two": "a", "three": [1], "four": None}


@pytest.mark.parametrize(
    ("annotation", "default", "problem"),
    [
        (bytes, None, "expected str, int, float, bool, list or dict, or one of them or None, got <class 'bytes'>"),
        (str | int, None, "got str | int"),
        (Literal["a", 1], None, "got typing.Literal"),
        (Any, None, "got typing.Any"),
        (str, None, "expected a default that is str, or None for `str | None`, got None"),
        (int, "x", "expected a default that is int"),
        (list, [], "expected a default that is None for `list | None`"),
        ("Missing", "x", "expected annotations that the module has, got 'Missing'"),
    ],
)
def test_classes_that_are_no_events(kind, annotation, default, problem):
    """An annotation or a default that is none of a parameter is an error which names the field, or the class."""
    namespace = {"__annotations__": {"x": annotation}, "x": default, "__module__": __name__}
    with pytest.raises(TypeError, match="Wrong") as caught:
        type(kind.EventType)("Wrong", (kind.EventType,), namespace, name="E_WRONG")
    assert problem in str(caught.value)


@pytest.mark.parametrize(
    "params",
    [
        {"ip": "a", "hits": 1, "load": 2},
        ["a", 1, 2],
        ("a", 1, 2.0),
        Pairs((("ip", "a"), ("hits", 1), ("load", 2))),
        Pairs(((None, "a"), (None, 1), (None, 2))),
    ],
)
def test_events_of_parameters(params):
    """Whatever form the parameters have, they make the same event."""
    assert event_of(Blocked, params) == Blocked("a", 1, 2)


@pytest.mark.parametrize("params", [None, {}, {"ip": "a"}, {"ip": 1, "hits": 1}, {"ip": "a", "hits": 1, "x": 2}, "abc"])
def test_parameters_that_are_no_event(params):
    """Parameters that do not fit are an error that names what is wrong."""
    with pytest.raises(ParameterError, match="E_BLOCKED"):
        event_of(Blocked, params)


values = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.text(st.characters(categories=["Cs"]))
)


@given(ip=values, hits=values, up=values)
@example(ip="a", hits=-(2**63) - 1, up=True)
@example(ip="a", hits=2**64, up=True)
def test_bytes_are_those_of_a_mapping(ip, hits, up):
    """The text of an event is the one of its parameters, or it is left to the check and the slow way."""
    for event_type in (_Three, _ThreeFloats):
        event = event_type(ip, hits, up)
        declaration = declaration_of(event_type)
        body = declaration.body(event)
        if body is not None:
            assert declaration.fits(params_of(event))
            assert body == encode_params(name_of(event_type), params_of(event))


class _Three(EventType, name="E_THREE"):
    ip: str
    hits: int
    up: bool


class _ThreeFloats(EventType, name="E_FLOATS"):
    ip: str
    hits: int
    up: float


def test_the_fast_way_is_used(kind):
    """An event whose values have the declared types needs no dict; one whose parameter is left out does."""

    class Plain(kind.EventType, name="E_PLAIN"):
        ip: str
        hits: int

    class Partly(kind.EventType, name="E_PARTLY"):
        ip: str
        hits: int | None = None

    assert kind.declaration_of(Plain).body(Plain("a", 1)) == b'{"ip":"a","hits":1}'
    assert kind.declaration_of(Plain).body(Plain("a", True)) is None
    assert kind.declaration_of(Partly).body(Partly("a", 1)) is None
