"""Requests answered in steps: clients take turns, listings come in slices, and both have bounds."""

import asyncio
import json
import sys
from itertools import pairwise

import pytest
from evframe_mi import Management, ManagementOptions, Options
from evframe_mi.printing import pretty
from evframe_mi.testing import management
from evframe_mi.turns import TURN_S, Turns
from evframe_wire.listing import SLICE, Listing

import evframe
from evframe.plugins.commands import Command, CommandError
from evframe.testing import FakeClock, MemoryTransport


class Listed:
    """Commands with long answers; counts the items that were produced."""

    def __init__(self):
        self.produced = 0

    def items(self, number):
        return Listing(range(number), self.item)

    def item(self, index):
        self.produced += 1
        return {"item": index}

    def broken(self, index):
        if index > SLICE:
            raise RuntimeError("what a listing should not do")
        return index

    @evframe.hookimpl
    def management_commands(self, commands):
        commands.add(Command("long:flat", (("number",),), lambda params: self.items(params["number"])))
        commands.add(Command("long:nested", ((),), lambda _: {"a": [{"b": Listing([], str)}], "All": Listing((0, 1, 2, 700), lambda n: {"name": n, "Each": self.items(n)})}))  # fmt: skip
        commands.add(Command("long:broken", ((),), lambda _: {"All": Listing(range(2 * SLICE), self.broken)}))


@pytest.fixture
def listed():
    return Listed()


@pytest.fixture
def events(listed):
    return made(listed)


def made(listed, **options):
    mi = Management(Options(ManagementOptions(**options)))
    events = evframe.EventInterface(plugins={"mi": mi, "memory": MemoryTransport(), "listed": listed})
    events.register_event("E_A")
    return events


def call(method, params=(), number=1):
    return {"jsonrpc": "2.0", "id": number, "method": method, "params": list(params)}


def steps_of(events, request, **options):
    """Return the response, and what `produced` was after each step."""
    return finish(management(events).steps(json.dumps(request).encode(), **options), events.plugin("listed"))


def finish(steps, listed):
    counts = []
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value, [*counts, listed.produced]
        counts.append(listed.produced)


@pytest.mark.parametrize("number", [0, 1, SLICE, SLICE + 1, 10 * SLICE])
def test_listings_are_produced_in_slices(events, number):
    """Between two steps at most a slice of items is produced, and the answer is that of a plain list."""
    response, counts = steps_of(events, call("long:flat", [number]))
    assert json.loads(response)["result"] == [{"item": index} for index in range(number)]
    assert max((after - before for before, after in pairwise([0, *counts])), default=0) <= SLICE


@pytest.mark.parametrize("is_pretty", [False, True])
def test_listings_within_listings(events, is_pretty):
    """An answer in slices has the bytes of one that is produced at once, in either form."""
    response, _ = steps_of(events, call("long:nested"), pretty=is_pretty)
    each = [{"name": n, "Each": [{"item": index} for index in range(n)]} for n in (0, 1, 2, 700)]
    whole = json.dumps(
        {"jsonrpc": "2.0", "result": {"a": [{"b": []}], "All": each}, "id": 1}, separators=(",", ":")
    ).encode()
    assert response == (pretty(whole) if is_pretty else whole)


@pytest.mark.parametrize("method", ["subscribers_list", "events_list", "evi:statistics"])
def test_the_lists_of_the_interface_are_produced_in_slices(events, method):
    """Thousands of events and leases are listed in many steps."""
    for index in range(3 * SLICE):
        events.register_event(f"E_{index}")
        events.subscribe_event("E_A", f"memory:{index}")
    response, counts = steps_of(events, call(method))
    assert len(counts) > 3
    result = json.loads(response)["result"]
    assert len(result["Events"][0]["Subscribers"] if method == "subscribers_list" else result["Events"]) >= 3 * SLICE


def test_leases_that_end_while_they_are_listed(events):
    """What ends between two slices is left out, and the others are listed once."""
    for index in range(3 * SLICE):
        events.subscribe_event("E_A", f"memory:{index}")
    steps = management(events).steps(json.dumps(call("subscribers_list", ["E_A"])).encode())
    for _ in range(2):
        next(steps)
    for index in range(0, 3 * SLICE, 2):
        events.unsubscribe_event("E_A", f"memory:{index}")
    events.subscribe_event("E_A", "memory:new")
    response, _ = finish(steps, events.plugin("listed"))
    listed = [each["socket"] for each in json.loads(response)["result"]["Event"]["Subscribers"]]
    assert len(listed) == len(set(listed))
    assert {f"memory:{index}" for index in range(1, 3 * SLICE, 2)} <= set(listed)


def test_each_request_of_a_batch_is_a_step(events):
    """A batch of four hundred requests takes four hundred steps, and as many answers."""
    response, counts = steps_of(events, [call("long:flat", [1], number) for number in range(400)])
    assert [answer["id"] for answer in json.loads(response)] == list(range(400))
    assert len(counts) > 400
    assert max(after - before for before, after in pairwise([0, *counts])) == 1


def test_batches_have_a_bound_of_requests(listed):
    """A batch of more requests is refused as a whole, and runs none of them; the bound can be set."""
    events = made(listed, batch_requests=3)
    batch = [call("long:flat", [1])] * 4
    error = json.loads(steps_of(events, batch)[0])
    assert (error["id"], error["error"]["code"], listed.produced) == (None, -32600, 0)
    assert len(json.loads(steps_of(events, batch[:3])[0])) == 3
    assert ManagementOptions().batch_requests >= 1000


def test_answers_have_a_bound_of_bytes(listed):
    """What does not fit is an error with the id of its request, and its production ends; what fits is answered."""
    events = made(listed, answer_bytes=20_000)
    response, _ = steps_of(events, call("long:flat", [10**5], 7))
    assert (json.loads(response)["id"], json.loads(response)["error"]["code"]) == (7, -32000)
    assert listed.produced < 10_000
    listed.produced = 0
    response, _ = steps_of(events, [*[call("long:flat", [500])] * 400, call("pwd", number="last")])
    answers = json.loads(response)
    assert [("error" in answer) for answer in answers[:5]] == [False, False, False, True, True]
    assert answers[-1]["id"] == "last"
    assert len(response) < 20_000 + 401 * 150
    assert listed.produced < 400 * SLICE * 2


def test_listing_that_breaks(events, caplog):
    """An error in the middle of a listing is the answer, and logged once."""
    for _ in range(3):
        error = json.loads(steps_of(events, call("long:broken"))[0])["error"]
        assert error == {"code": -32000, "message": "Server error", "data": "Command handler returned null"}
    assert [record.exc_info[0] for record in caplog.records] == [RuntimeError]


def work(name, number, done):
    for index in range(number):
        done.append((name, index))
        yield
    return name


async def test_clients_take_turns():
    """A client that sends a thousand requests at once has a step for each step of another one."""
    turns, done = Turns(FakeClock()), []
    busy = [turns.put("busy", work("busy", 2, done)) for _ in range(1000)]
    other = [turns.put("other", work("other", 2, done)) for _ in range(2)]
    assert await asyncio.gather(*other) == ["other", "other"]
    at = [place for place, (name, _) in enumerate(done) if name == "other"]
    assert at[-1] < 10
    await asyncio.gather(*busy)
    assert len(turns) == 0


async def test_the_requests_of_a_client_stay_in_order():
    """The next request of a client begins when the one before is over."""
    turns, done = Turns(FakeClock()), []
    await asyncio.gather(*(turns.put("a", work(number, 3, done)) for number in range(5)))
    assert done == [(number, index) for number in range(5) for index in range(3)]


async def test_the_loop_serves_others_between_turns():
    """Steps take a few milliseconds of each turn of the loop, however many wait."""
    clock = FakeClock()
    turns, done, seen = Turns(clock), [], []

    def slow():
        for index in range(20):
            clock.advance(TURN_S / 2.5)
            done.append(index)
            yield

    async def watch(future):
        while not future.done():
            await asyncio.sleep(0)
            seen.append(len(done))

    await watch(turns.put("a", slow()))
    assert max(after - before for before, after in pairwise([0, *seen])) <= 3


async def test_a_request_that_is_given_up_ends_all_the_same():
    """A client that has gone changes nothing for those after it."""
    turns, done = Turns(FakeClock()), []
    first = turns.put("a", work("first", 3, done))
    first.cancel()
    assert await turns.put("a", work("second", 1, done)) == "second"
    assert done[:3] == [("first", 0), ("first", 1), ("first", 2)]


async def test_large_requests_are_read_beside_the_loop(events):
    """While a request of a mebibyte is read, the loop makes many turns; its answer is that of a small one."""
    events.subscribe_event("E_A", "memory:a")
    deep = "[" * 600 + "]" * 600
    batch = [
        f'{{"jsonrpc":"2.0","id":{number},"method":"raise_event","params":["E_A",{deep}]}}' for number in range(800)
    ]
    answer = asyncio.ensure_future(management(events).answer(f"[{','.join(batch)}]".encode(), "a"))
    turns = 0
    while not answer.done():
        await asyncio.sleep(0)
        turns += 1
    answers = json.loads(await answer)
    assert [each["error"]["code"] for each in answers] == [400] * 800
    assert turns > 20


LARGE = " " * 10_000
REQUESTS = {
    "exact": '"params":{"event":"E_A","json":{"a":1,"a":2,"b":[1.50,12345678901234567890123]}}',
    "object": '"params":{"event":"E_A","params":{"a":1,"a":[{}]}}',
    "array": '"params":["E_A",["x",99999999999,-1.5]]',
    "text": '"params":["E_A","{\\"a\\":[1.5,{\\"b\\":99999999999}]}"]',
    "nothing": '"params":["E_A"]',
    "no event": '"params":["E_NONE",["x"]]',
    "no subscriber": '"params":["E_B",["x"]]',
    "bad text": '"params":["E_A","[1]"]',
    "bad item": '"params":["E_A",[[1]]]',
    "declared": '"params":["E_C",["7","x"]]',
    "not as declared": '"params":["E_C",["x"]]',
    "no parameters": '"params":["E_A",null]',
    "too many": '"params":["E_A",[],[]]',
    "bad type": '"params":[["E_A"],[]]',
}


@pytest.mark.parametrize("params", REQUESTS.values(), ids=REQUESTS)
@pytest.mark.parametrize("is_batch", [False, True])
async def test_large_requests_are_prepared_beside_the_loop(events, params, is_batch):
    """The answer to a large request, and the events that it raises, are those of a small one; the loop encodes none."""
    memory = events.plugin("memory")
    events.register_event("E_B")
    events.register_event("E_C", params={"n": int, "text": str})
    for event in ("E_A", "E_C"):
        events.subscribe_event(event, "memory:a")
    request = '{"jsonrpc":"2.0","id":1,"method":"raise_event",%s%s}'
    request, answers, on_the_loop = ("[%s,%s]" % (request, "%s") if is_batch else request), [], set()

    def watch(frame, *_):
        on_the_loop.add(frame.f_code.co_name)

    async with events:
        for space in ("", LARGE):
            rest = ('{"jsonrpc":"2.0","method":"raise_event",%s}' % params,) if is_batch else ()
            on_the_loop.clear()
            sys.setprofile(watch)
            try:
                answers.append(await management(events).answer((request % (params, space, *rest)).encode(), "a"))
            finally:
                sys.setprofile(None)
    small, large = answers
    assert small == large
    sent = [event.payload for event in memory.delivered.get("a", ())]
    assert sent[: len(sent) // 2] == sent[len(sent) // 2 :]
    assert {"read_first", "settle_params", "snapshot"}.isdisjoint(on_the_loop)


async def test_the_requests_of_a_client_wait_for_one_that_is_prepared():
    """Other clients have their turns meanwhile; a preparation that fails is the failure of its request alone."""
    turns, done = Turns(FakeClock()), []
    first, second = (asyncio.get_running_loop().create_future() for _ in range(2))
    answers = [turns.put("a", first), turns.put("a", work("small", 2, done)), turns.put("a", second)]
    answers.append(turns.put("a", work("last", 1, done)))
    assert await turns.put("b", work("other", 1, done)) == "other"
    assert (done, len(turns)) == ([("other", 0)], 4)
    second.set_exception(ValueError("what it is"))
    first.set_result(work("large", 1, done))
    found = await asyncio.gather(*answers, return_exceptions=True)
    assert [found[0], found[1], str(found[2]), found[3]] == ["large", "small", "what it is", "last"]
    assert [name for name, _ in done] == ["other", "large", "small", "small", "last"]
    assert len(turns) == 0


async def test_a_result_that_comes_later_holds_back_its_client_alone(events):
    """A command that reads on a thread is answered in its order, in a batch too; other clients are served meanwhile."""
    later = {}

    def slow(params):
        future = later[params["name"]] = asyncio.get_running_loop().create_future()
        return future

    events.commands.add(Command("later:slow", (("name",),), slow))
    async with events:
        answer = management(events).answer
        requests = [
            call("later:slow", ["a"]),
            [call("later:slow", ["b"]), call("long:flat", [1])],
            call("long:flat", [0]),
        ]
        answers = [asyncio.ensure_future(answer(json.dumps(each).encode(), "slow")) for each in requests]
        assert json.loads(await answer(json.dumps(call("long:flat", [0])).encode(), "other"))["result"] == []
        assert [each.done() for each in answers] == [False] * 3
        later["a"].set_exception(CommandError(404, "Letter not found"))
        assert json.loads(await answers[0])["error"] == {"code": 404, "message": "Letter not found"}
        while "b" not in later:
            await asyncio.sleep(0)
        later["b"].set_result("read")
        assert [each["result"] for each in json.loads(await answers[1])] == ["read", [{"item": 0}]]
        assert json.loads(await answers[2])["result"] == []


def test_optional_parameters_are_taken_by_name(events):
    """A request by name has those of a list and any optional ones; others, and an order of them, are refused."""
    events.commands.add(Command("x:filtered", ((), ("a",)), dict, named=(("b", "c"),), optional=("d", "e")))
    find = events.commands.find("x:filtered").params_of
    for params in ({}, {"d": 1}, {"a": 1, "d": 1, "e": 2}, {"b": 1, "c": 2, "e": 3}):
        assert find(params) == params
    for params in ({"b": 1}, {"f": 1}, {"a": 1, "b": 2}, [1, 2]):
        with pytest.raises(CommandError):
            find(params)
    assert events.commands.find("x:filtered").usage == "none; a; b, c; by name also d, e"
