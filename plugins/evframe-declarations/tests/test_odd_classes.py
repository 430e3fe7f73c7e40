"""Classes of events that few would write: each is refused with its reason, or is the same with and without msgspec."""

import importlib
import sys
import types
from typing import Any, ClassVar, Generic, Literal, TypeVar

import msgspec
import orjson
import pytest
from evframe_declarations import Declaration, Parameter


@pytest.fixture(params=["msgspec", "dataclasses"])
def kind(request, monkeypatch):
    """Return the package with the library, or as it is imported where that is missing."""
    if request.param == "msgspec":
        return importlib.import_module("evframe_declarations")
    monkeypatch.setitem(sys.modules, "msgspec", None)
    for name in [name for name in sys.modules if name.partition(".")[0] == "evframe_declarations"]:
        monkeypatch.delitem(sys.modules, name)
    return importlib.import_module("evframe_declarations")


def made(package, source, **names):
    """Return the class A of *source*, which is run as a module."""
    module = sys.modules["odd_classes"] = types.ModuleType("odd_classes")
    names |= {name: getattr(package, name) for name in package.__all__}
    vars(module).update(names, Any=Any, ClassVar=ClassVar, Generic=Generic, Literal=Literal, T=TypeVar("T"))
    exec(source, vars(module))
    return module.A


def check(package, event, params):
    """Check that an event has *params*, and is the same after each way there and back."""
    declaration = package.declaration_of(type(event))
    assert package.params_of(event) == params
    assert list(package.params_of(event)) == [name for name in declaration.params if name in params]
    assert declaration.fits(params)
    assert declaration.body(event) in {None, orjson.dumps(params)}
    assert package.event_of(type(event), params) == event
    assert package.event_of(type(event), list(params.values())) == event


FIELDS = ["name", "event", "self", "cls", "params", "given", "encode", "t0", "v0", "n0", "body", "strict", "make"]
FIELDS += ["_x", "_", "__x", "is_meta", "mro", "type", "Größe", "ﬁ", "attr_dict", "str", "int", "list", "object"]


@pytest.mark.parametrize("future", ["", "from __future__ import annotations\n"])
@pytest.mark.parametrize("name", FIELDS)
def test_names_of_fields(kind, name, future):
    """A field may have any name that is an identifier, with annotations that are texts, too."""
    source = f"{future}class A(EventType, name='E_A'):\n    {name}: {name if name in ('str', 'int') else 'str'}\n    z: int = 3"
    value = 7 if name == "int" else "q"
    event = made(kind, source)(value)

    attribute = {"__x": "_A__x", "ﬁ": "fi"}.get(name, name)
    check(kind, event, {attribute: value, "z": 3})
    assert getattr(event, attribute) == value


def test_texts_that_name_fields(kind):
    """An annotation that is a text means the builtin, whatever the fields are called."""
    source = "class A(EventType, name='E_A'):\n    list: 'list[str]'\n    dict: 'dict[str, list[int]] | None' = None"
    check(kind, made(kind, source)(["a"], {"b": [1]}), {"list": ["a"], "dict": {"b": [1]}})


OVERRIDING = "class B(EventType):\n    a: int\n    b: str = 'b'\n"


@pytest.mark.parametrize(
    ("source", "arguments", "params"),
    [
        ("class A(B, name='E_A'):\n    a: str\n    c: int = 3", ("x",), {"a": "x", "b": "b", "c": 3}),
        ("class A(B, name='E_A'):\n    a: int = 4", (), {"a": 4, "b": "b"}),
        ("class A(B, name='E_A'):\n    b: str", (1, "x"), {"a": 1, "b": "x"}),
        ("class A(B, name='E_A'):\n    b: str = param(name='b-b', default='y')", (1,), {"a": 1, "b-b": "y"}),
        ("class C(B): pass\nclass A(C, B, name='E_A'): pass", (1,), {"a": 1, "b": "b"}),
        (
            "class C(B):\n    c: int = 3\nclass D(B): pass\nclass A(D, C, name='E_A'): pass",
            (1,),
            {"a": 1, "b": "b", "c": 3},
        ),
        ("class M:\n    x: int\n    def f(self): pass\nclass A(M, B, name='E_A'): pass", (1,), {"a": 1, "b": "b"}),
        ("class M:\n    a: int\nclass A(M, B, name='E_A'): pass", (1,), {"a": 1, "b": "b"}),
        (
            "class A(B, Generic[T], name='E_A'):\n    c: 'list[T] | None' = None",
            (1, "x", [1]),
            {"a": 1, "b": "x", "c": [1]},
        ),
        ("class A(EventType, name='E_A'): pass", (), {}),
        ("class A(EventType, name='E_A'):\n    a: Literal['x', None]", (None,), {"a": None}),
        ("class A(EventType, name='E_A'):\n    a: float = 1", (), {"a": 1}),
        ("class A(EventType, name='E_A'):\n    a: float | None = 1", (), {"a": 1}),
        ("class A(EventType, name='E_A'):\n    a: int = param(name='')", (1,), {"": 1}),
        ("class A(EventType, name='E_A'):\n    K = Literal['x']\n    a: 'K'", ("x",), {"a": "x"}),
        (
            "class A(EventType, name='E_A'):\n    a: int = param(name='b')\n    b: int = param(name='a')",
            (1, 2),
            {"b": 1, "a": 2},
        ),
    ],
)
def test_classes(kind, source, arguments, params):
    """A class that overrides or mixes has its fields at the places that a data class gives them."""
    check(kind, made(kind, OVERRIDING + source)(*arguments), params)


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("class A(B, name='E_A'):\n    a = 3", "A.a: expected an annotation"),
        ("class A(B, name='E_A'):\n    a = param(default=3)", "A.a: expected an annotation"),
        ("class A(EventType, name='E_A'):\n    a = param(default=3)", "A.a: expected an annotation"),
        ("class A(B, name='E_A'):\n    @property\n    def a(self): return 1", "A.a: expected an annotation"),
        ("class A(B, name='E_A'):\n    a: ClassVar[int] = 3", "A.a: expected a field, as in a base"),
        ("class M:\n    a = 3\nclass A(M, B, name='E_A'): pass", "A.a: expected a field, got what M has"),
        ("class A(B, name='E_A'):\n    c: int", "A.c: expected a default, because fields before it have one"),
        ("class A(B, name='E_A', kw_only=True):\n    c: int", "A: expected kw_only=False as B has, got True"),
        (
            "class K(EventType, kw_only=True):\n    a: int = 1\nclass A(K, name='E_A'):\n    b: int = 2",
            "A: expected kw_only=True as K has, got False",
        ),
        (
            "class C(B):\n    c: int = 3\nclass D(B):\n    d: int = 3\nclass A(C, D, name='E_A'): pass",
            "A: expected fields of one base",
        ),
        ("class C(EventType):\n    a: int\nclass A(C, B, name='E_A'): pass", "A: expected fields of one base"),
        (
            "class A(EventType, name='E_A'):\n    a: int = param(name='b')\n    b: int",
            "A.b: expected another name than 'b'",
        ),
        ("class A(B, name='E_A'):\n    c: int = param(name='a', default=1)", "A.c: expected another name than 'a'"),
        ("class A(EventType, name='E_A'):\n    a: int = param(name=5)", "A.a: expected a name that is text, got 5"),
        ("class A(EventType, name='E_A'):\n    __fields__: int", "A.__fields__: expected an identifier"),
        ("class A(EventType, name='E_A'):\n    a: int\n    def __init__(self, a): pass", "A.__init__: expected none"),
        ("class A(EventType, name='E_A'):\n    __slots__ = ()", "A.__slots__: expected none"),
        ("class A(EventType, name='E_A'):\n    a: 'str |'", "A: expected annotations that can be read"),
        ("class A(EventType, name='E_A'):\n    a: ''", "A: expected annotations that can be read"),
        ("class A(EventType, name='E_A'):\n    a: 'Any.Missing'", "A: expected annotations that can be read"),
        (
            "class A(EventType, name='E_A'):\n    a: 'Missing'",
            "A: expected annotations that the module has, got 'Missing'",
        ),
        ("class A(EventType, name='E_A'):\n    a: Literal[None]", "A.a: expected str, int"),
        ("class A(EventType, name='E_A'):\n    a: T", "A.a: expected str, int"),
        ("class A(EventType, name='E_A'):\n    a: float = True", "A.a: expected a default that is float"),
    ],
)
def test_classes_that_are_refused(kind, source, problem):
    """What could not be an event, or not the same one in each process, is an error that names the class."""
    with pytest.raises(TypeError) as caught:
        made(kind, OVERRIDING + source)
    assert problem in str(caught.value)


@pytest.mark.parametrize("attribute", ["a-b", "class", "a; import os", "ﬁ", "", "a.b"])
def test_names_that_are_no_identifiers(kind, attribute):
    """A class that is made of data has names that are identifiers, and nothing else becomes source code."""
    namespace = {"__annotations__": {attribute: str}, "__module__": __name__}
    with pytest.raises(TypeError, match="expected an identifier"):
        type(kind.EventType)("Wrong", (kind.EventType,), namespace, name="E_WRONG")


@pytest.mark.parametrize("options", [{"rename": "camel"}, {"array_like": True}, {"tag": True}, {"omit_defaults": True}])
def test_structs_are_no_bases(options):
    """The options of a class of msgspec, which change the bytes, do not reach an event."""
    base = type(msgspec.Struct)("Base", (msgspec.Struct,), {}, **options)
    with pytest.raises(TypeError, match="A: expected bases that are classes of events or have no fields"):
        made(
            sys.modules["evframe_declarations"],
            "class A(EventType, Base, name='E_A'):\n    foo_bar: str = 'x'",
            Base=base,
        )


@pytest.mark.parametrize("is_optional", [True, False])
def test_thousands_of_fields(is_optional):
    """A class may have as many fields as its source can have."""
    rest = "| None = None" if is_optional else ""
    source = "class A(EventType, name='E_A'):\n" + "".join(f"    f{number}: int {rest}\n" for number in range(3000))
    event = made(sys.modules["evframe_declarations"], source)(*range(3000))

    check(sys.modules["evframe_declarations"], event, {f"f{number}": number for number in range(3000)})


def test_thousands_of_parameters():
    """A declaration without a class may have as many, too."""
    fits = Declaration("E_A", {str(number): Parameter(int, optional=True) for number in range(3000)}).fits

    assert fits({"7": 1, "2999": 2})
    assert not fits({"7": 1, "3000": 2})


@pytest.mark.parametrize(
    ("source", "arguments", "params"),
    [
        (
            "class A(EventType, name='E_A', kw_only=True):\n    a: int | None = None\n    b: str",
            {"b": "x"},
            {"b": "x"},
        ),
        (
            "class A(EventType, name='E_A', kw_only=True):\n    a: int = 1\n    b: str\n    c: int = 3",
            {"b": "x"},
            {"a": 1, "b": "x", "c": 3},
        ),
        (
            "class B(EventType, kw_only=True):\n    a: int = 1\n    b: str\nclass A(B, name='E_A', kw_only=True):\n    c: int\n    a: str",
            {"a": "y", "b": "x", "c": 3},
            {"a": "y", "b": "x", "c": 3},
        ),
    ],
)
def test_fields_that_are_given_by_name(kind, source, arguments, params):
    """One with a default may stand before one without; the parameters have the order of the class."""
    event = made(kind, source)(**arguments)
    declaration = kind.declaration_of(type(event))

    assert kind.params_of(event) == params
    assert list(kind.params_of(event)) == [name for name in declaration.params if name in params]
    assert declaration.body(event) in {None, orjson.dumps(params)}
    assert kind.event_of(type(event), params) == event
    with pytest.raises(TypeError):
        type(event)(*arguments.values())
