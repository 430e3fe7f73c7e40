"""Parameters that cannot be sent: each is a ParameterError with the parameter's name, and costs little."""

import sys
from collections.abc import Mapping, Sequence

import pytest
from evframe_declarations import declare
from evframe_wire.payload import MAX_DEPTH, MAX_DIGITS
from hypothesis import given, settings
from hypothesis import strategies as st

import evframe
from evframe.events.event import EventDefinition

HEAD = b'{"jsonrpc":"2.0","method":"E_TEST","params":'
EVENT = EventDefinition(0, "E_TEST")


def payload(params):
    return EVENT.snapshot(params, 0.0).payload


def deep(levels, leaf=1, kind=lambda value: [value]):
    for _ in range(levels):
        leaf = kind(leaf)
    return leaf


class Deepest:
    """Parameters with 100,000 levels, which take long to make: the tests make them when they run."""

    def __init__(self, kind):
        self.make = lambda: {"a": deep(100_000, kind=kind)}


class Broken(Mapping):
    """A mapping whose methods raise."""

    def __init__(self, *methods):
        self.methods = methods

    def call(self, name, result):
        if name in self.methods:
            raise RuntimeError(f"{name} is broken")
        return result

    def __bool__(self):
        return self.call("bool", True)

    def __iter__(self):
        return self.call("iter", iter(["a"]))

    def __len__(self):
        return self.call("len", 1)

    def __getitem__(self, name):
        return self.call("getitem", 1)

    def __repr__(self):
        return self.call("repr", "Broken()")


class BrokenSequence(Sequence):
    def __len__(self):
        return 1

    def __getitem__(self, index):
        raise RuntimeError("getitem is broken")


class BrokenText(str):
    __slots__ = ()

    def encode(self, *_):
        raise RuntimeError("encode is broken")

    __str__ = __repr__ = encode


cyclic_tuple = ([],)
cyclic_tuple[0].append(cyclic_tuple)
cyclic_list = []
cyclic_list.append(cyclic_list)
cyclic_dict = {}
cyclic_dict["x"] = {"y": [cyclic_dict]}


@pytest.mark.parametrize(
    ("params", "named"),
    [
        ({"\ud83d": 1}, "\ud83d"),
        ({"good": 1, "a": {"\ud83d": 1}}, "a"),
        ({"good": b"\xff", "a": "\ud83d"}, "a"),
        (evframe.Pairs([("\ud83d", 1)]), "\ud83d"),
        ({"a": 10 ** (MAX_DIGITS + 1)}, "a"),
        ({"a": [-(10 ** (MAX_DIGITS + 1))]}, "a"),
        ({"good": 1, "a": deep(MAX_DEPTH)}, "a"),
        (Deepest(lambda value: [value]), "a"),
        (Deepest(lambda value: {"b": value}), "a"),
        (Deepest(lambda value: (value,)), "a"),
        (Deepest(lambda value: evframe.Pairs([("b", value)])), "a"),
        ([1, deep(MAX_DEPTH)], 2),
        ({"a": cyclic_list}, "a"),
        ({"a": cyclic_dict}, "a"),
        ({"a": cyclic_tuple}, "a"),
        ([cyclic_tuple, 1], 1),
        (cyclic_tuple, 1),
        ({"a": {"b": object()}}, "a"),
        ({"a": BrokenText("x")}, "a"),
        ({BrokenText("x"): 1}, "x"),
        ({"a": Broken("iter", "repr")}, "a"),
        ({"a": [Broken("getitem")]}, "a"),
        (Broken("iter"), "params"),
        (Broken("getitem", "repr"), "params"),
        (Broken("bool", "len", "iter"), "params"),
        (BrokenSequence(), "params"),
        (evframe.Pairs([1]), 1),
        (evframe.Pairs([("a", 1), "bc"]), 2),
        (evframe.Pairs([("a", 1), ("b", 2, 3)]), 2),
        (evframe.Pairs([(7, 1)]), 7),
        ({"a": evframe.Pairs([("b", 1), "cd"])}, "a"),
        ({1: 2}, 1),
        ({None: 2}, None),
        ({"a": {None: b""}}, "a"),
    ],
    ids=lambda value: type(value).__name__,
)
@pytest.mark.parametrize("declared", [False, True])
def test_what_cannot_be_sent_is_named(params, named, declared):
    """Whatever is wrong with parameters, it is a ParameterError that names the first of them, in a short text."""
    if isinstance(params, Deepest):
        params = params.make()
    names = {name: list for name in ("good", "a") if isinstance(params, dict) and name in params}
    event = EventDefinition(0, "E_TEST", declare("E_TEST", names, enforced=declared))
    with pytest.raises(evframe.ParameterError) as caught:
        event.snapshot(params, 0.0)

    assert caught.value.event == "E_TEST"
    if not declared:
        assert str.__eq__(caught.value.parameter, named) if isinstance(named, str) else caught.value.parameter == named
    assert len(str(caught.value)) < 1000
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("levels", [1, 100, MAX_DEPTH - 1])
@pytest.mark.parametrize("kind", [lambda value: [value], lambda value: {"x": value}, lambda value: (value,)])
@pytest.mark.parametrize("leaf", [1, b"\xff", 10**30])
def test_depth_up_to_the_limit(levels, kind, leaf):
    """Parameters within the limit are sent, by every way of encoding."""
    assert payload({"a": deep(levels, leaf, kind)}).count(b"[") in {0, levels}


@pytest.mark.parametrize("leaf", [1, b"\xff", 10**30])
@pytest.mark.parametrize("kind", [lambda value: [value], lambda value: {"x": value}])
def test_depth_is_the_same_for_every_way_of_encoding(kind, leaf):
    """One level more is refused, however the value would be encoded, and whatever encodes it."""
    for params in ({"a": deep(MAX_DEPTH, leaf, kind)}, [deep(MAX_DEPTH, leaf, kind)]):
        with pytest.raises(evframe.ParameterError, match=f"expected at most {MAX_DEPTH} levels"):
            payload(params)


def test_depth_needs_no_stack_of_the_interpreter():
    """The limit is that of the product, however deep the caller is in calls of its own."""
    inner = {"a": deep(MAX_DEPTH - 1, b"\xff")}
    outer = {"a": deep(MAX_DEPTH, b"\xff")}

    def descend(calls):
        if calls:
            return descend(calls - 1)
        with pytest.raises(evframe.ParameterError):
            EVENT.snapshot(outer, 0.0)
        return EVENT.snapshot(inner, 0.0)

    frame, used = sys._getframe(), 0
    while frame:
        frame, used = frame.f_back, used + 1
    assert descend(sys.getrecursionlimit() - used - 100).payload.count(b"[") == MAX_DEPTH - 1


@given(st.integers() | st.integers(1, 6000).map(lambda digits: 10**digits - 1))
def test_integers_of_any_size(number):
    """An integer is sent with all of its digits, whatever limit Python has on their text."""
    before = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(0)
    digits = b"%d" % number
    try:
        sys.set_int_max_str_digits(640)
        for value in (number, -number):
            sent = payload({"a": value, "b": [value]})
            sign = b"-" if value < 0 else b""
            text = sign + digits.lstrip(b"-")
            assert sent == HEAD + b'{"a":%b,"b":[%b]}}' % (text, text)
    finally:
        sys.set_int_max_str_digits(before)


def test_pairs_within_values():
    """Pairs are an object or an array wherever they stand, as they are at the top."""
    twice = evframe.Pairs([("k", 1), ("k", [2]), (None, 3)])

    assert payload({"a": twice, "b": [twice]}) == HEAD + b'{"a":{"k":1,"k":[2],"":3},"b":[{"k":1,"k":[2],"":3}]}}'
    assert payload({"a": evframe.Pairs([(None, 1), ("x", 2)]), "b": evframe.Pairs()}) == HEAD + b'{"a":[1,2],"b":[]}}'


def test_copy_of_parameters():
    """What only the careful way can encode is a copy too, which later changes do not reach."""
    inner = [bytearray(b"\xff"), {"x": [1]}]
    event = EVENT.snapshot({"a": inner}, 0.0)
    inner[1]["x"].append(2)
    inner[0][0] = 0

    assert event.params == {"a": [b"\xff", {"x": [1]}]}
    assert event.payload == HEAD + b'{"a":["\xff",{"x":[1]}]}}'


@settings(max_examples=50, deadline=None)
@given(
    st.recursive(
        st.none() | st.binary() | st.text(st.characters()) | st.floats() | st.integers() | st.builds(object),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(st.text(st.characters()) | st.integers(), inner)
            | st.lists(st.tuples(st.text(st.characters()), inner) | inner).map(evframe.Pairs)
        ),
        max_leaves=10,
    )
)
def test_any_value(value):
    """Whatever is raised, it is sent, or a ParameterError."""
    for params in (value, {"a": value}, [value]):
        try:
            payload(params)
        except evframe.ParameterError as error:
            assert str(error).isprintable()
            assert len(str(error)) < 1500
