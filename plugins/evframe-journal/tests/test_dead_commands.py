"""The commands about dead letters, asked of an interface with a real file."""

import asyncio
import json
import sqlite3

import pytest
from evframe_journal import JournalPlugin, Options
from evframe_journal.replay import Pace
from evframe_mi import Management, ManagementOptions
from evframe_mi import Options as MiOptions
from evframe_mi.testing import management

import evframe
from evframe.plugin import Policy
from evframe.testing import FakeClock, MemoryTransport, until


class Gateway:
    """An interface with a journal, and letters that the test puts there."""

    def __init__(self, path, store_after_ms=20, **management):
        options = Options(str(path), store_after_ms=store_after_ms)
        self.memory = MemoryTransport()
        self.journal = JournalPlugin(options)
        mi = Management(MiOptions(ManagementOptions(**{"schemes": ["*"], **management})))
        plugins = {"mi": mi, "memory": self.memory, "journal": self.journal}
        self.events = evframe.EventInterface(plugins=plugins)
        self.events.register_event("E_DEAD")
        self.events.register_event("E_OTHER")
        self.events.subscribe_event("E_OTHER", "memory:kept", policy=Policy(keep="disk"))

    async def fail(self, *numbers, socket="memory:a", event="E_DEAD", reason="rejected"):
        definition = self.events.event(event)
        before = self.journal.letters.added
        failed = [definition.snapshot({"number": number}, 1.0) for number in numbers]
        self.journal.letters.add(socket, failed, [reason] * len(failed), "what the peer has said")
        await until(lambda: self.journal.letters.added == before + len(failed))

    async def ask(self, method, params=(), *, interface="", client="client"):
        request = {"jsonrpc": "2.0", "id": 1, "method": f"dead_letters:{method}", "params": params}
        dispatcher = management(self.events).of(interface) if interface else management(self.events)
        return json.loads(await dispatcher.answer(json.dumps(request).encode(), client))

    async def result(self, method, params=()):
        answer = await self.ask(method, params)
        assert "result" in answer, answer
        return answer["result"]

    async def error(self, method, params=()):
        return (await self.ask(method, params))["error"]

    async def numbers(self, **wanted):
        return [(await self.params(each["id"]))["number"] for each in (await self.result("list", wanted))["Letters"]]

    async def params(self, letter):
        return (await self.result("show", [letter]))["Letter"]["params"]

    async def replay(self, **params):
        """Replay, and return the replay when it is over."""
        number = (await self.result("replay", params))["Replay"]["id"]
        return await self.over(number)

    async def over(self, number):
        replay = self.journal.replays.all[number]
        await until(lambda: replay.is_over)
        await asyncio.sleep(0)
        await until(lambda: not self.journal.letters.claimed)
        return replay

    def delivered(self, name):
        return [event.params["number"] for event in self.memory.delivered.get(name, ())]


@pytest.fixture
async def gateway(tmp_path):
    gateway = Gateway(tmp_path / "journal")
    async with gateway.events:
        yield gateway


async def test_letters_are_listed_and_shown(gateway):
    """A listing says what failed where, when and why; `show` has the payload and the parameters, too."""
    assert await gateway.result("list") == {"Letters": [], "next": None}
    await gateway.fail(7)
    (listed,) = (await gateway.result("list"))["Letters"]
    assert listed["at"].endswith("Z")
    assert listed["first_raised"].endswith("Z")
    assert {key: listed[key] for key in ("id", "event", "socket", "reason", "detail", "attempts")} == {
        "id": 1,
        "event": "E_DEAD",
        "socket": "memory:a",
        "reason": "rejected",
        "detail": "what the peer has said",
        "attempts": 1,
    }
    shown = (await gateway.result("show", [1]))["Letter"]
    assert shown == {**listed, "payload": '{"jsonrpc":"2.0","method":"E_DEAD","params":{"number":7}}', "params": {"number": 7}}  # fmt: skip
    assert listed["bytes"] == len(shown["payload"])


async def test_two_clients_drop_the_same_letters(tmp_path):
    """Each letter is dropped once, and both are answered, when the second one asks before the first commit."""
    gateway = Gateway(tmp_path / "journal", store_after_ms=1000)
    async with gateway.events:
        await gateway.fail(1, 2, 3)
        answers = await asyncio.gather(*(gateway.ask("drop", {"socket": "*"}, client=each) for each in ("one", "two")))
        assert sum(answer["result"]["Dropped"] for answer in answers) == 3
        assert await gateway.numbers() == []
        assert not gateway.journal.letters.claimed


async def test_listings_are_filtered_and_come_in_pages(gateway):
    """Filters may be combined, and `next` is what continues a listing."""
    await gateway.fail(1, 2, 3)
    await gateway.fail(4, socket="memory:b", reason="expired")
    await gateway.fail(5, event="E_OTHER")
    assert await gateway.numbers(socket="memory:a", event="E_D*") == [1, 2, 3]
    assert await gateway.numbers(reason="expired") == [4]
    assert await gateway.numbers(older_s=3600) == []
    assert await gateway.numbers(newer_s=3600, limit=2) == [1, 2]
    first = await gateway.result("list", {"limit": 2})
    rest = await gateway.result("list", {"after": first["next"]})
    assert [each["id"] for each in (*first["Letters"], *rest["Letters"])] == [1, 2, 3, 4, 5]
    assert rest["next"] is None


@pytest.mark.parametrize(
    ("method", "params", "problem"),
    [
        ("list", {"limit": 0}, "limit: expected 1 to 1000, got 0"),
        ("list", {"newer_s": -1}, "newer_s: expected 0 to 2147483647, got -1"),
        ("replay", {}, "expected ids or a filter, such as socket=*"),
        ("replay", {"socket": "*", "rate": 0}, "rate: expected 1 to 100000, got 0"),
        ("replay", {"socket": "*", "to": "strange:x"}, "to: socket 'strange:x': expected a scheme of memory"),
        ("drop", {}, "expected ids or a filter, such as socket=*"),
        ("drop", {"ids": []}, "ids: expected 1 to 1000 ids, got 0"),
    ],
)
async def test_parameters_that_cannot_be_used(gateway, method, params, problem):
    """A parameter out of its range is answered with 400 and one sentence, and changes nothing."""
    await gateway.fail(1)
    error = await gateway.error(method, params)
    assert error["code"] == 400
    assert error["data"].startswith(problem)
    assert await gateway.numbers() == [1]


@pytest.mark.parametrize(
    ("method", "params"), [("show", [9]), ("drop", {"ids": "8,9"}), ("replay", [1]), ("stop", [1])]
)
async def test_what_is_not_there(gateway, method, params):
    """A letter or a replay that does not exist is answered with 404, also before there is a file."""
    if method != "replay":
        await gateway.fail(1)
        assert (await gateway.error(method, params))["code"] == 404
    else:
        assert (await gateway.replay(ids=[1])).delivered == 0


async def test_dropped_letters_are_gone(gateway):
    """`drop` deletes letters by their ids or by a filter, and says how many."""
    await gateway.fail(1, 2, 3)
    await gateway.fail(4, reason="expired")
    assert await gateway.result("drop", {"ids": "1, 3"}) == {"Dropped": 2}
    assert await gateway.result("drop", {"reason": "expired"}) == {"Dropped": 1}
    assert await gateway.numbers() == [2]
    assert await gateway.result("drop", {"socket": "*"}) == {"Dropped": 1}
    assert await gateway.numbers() == []


async def test_a_replay_delivers_and_then_deletes(gateway):
    """Letters go to the sockets that they failed at, in order, and are gone once their delivery is confirmed."""
    await gateway.fail(1, 2)
    await gateway.fail(3, socket="memory:b")
    replay = await gateway.replay(socket="*")
    assert (replay.delivered, replay.failed, replay.left) == (3, 0, 0)
    assert (gateway.delivered("a"), gateway.delivered("b")) == ([1, 2], [3])
    assert await gateway.numbers() == []


async def test_a_replay_reaches_its_socket_alone(gateway):
    """Other subscribers of the event get nothing, and the letter does not count as another raise."""
    gateway.events.subscribe_event("E_DEAD", "memory:other")
    gateway.events.subscribe_event("E_DEAD", "memory:a")
    await gateway.fail(1)
    await gateway.replay(ids=[1])
    assert (gateway.delivered("a"), gateway.delivered("other")) == ([1], [])
    assert {each.raised for each in gateway.events.statistics} == {0}


async def test_a_replay_to_another_socket(gateway):
    """With `to`, all letters go to that socket."""
    await gateway.fail(1, 2)
    await gateway.replay(socket="*", to="memory:elsewhere")
    assert (gateway.delivered("a"), gateway.delivered("elsewhere")) == ([], [1, 2])


async def test_a_letter_that_fails_again_stays(gateway):
    """A letter whose replay fails has another attempt and the new reason, and is sent once by a replay."""

    def refuse(batch):
        for index in range(len(batch.events)):
            batch.fail(index, "too_large")
        return True

    gateway.memory.when("a", refuse)
    await gateway.fail(1)
    replay = await gateway.replay(socket="*")
    assert (replay.delivered, replay.failed) == (0, 1)
    (letter,) = (await gateway.result("list"))["Letters"]
    assert (letter["attempts"], letter["reason"], letter["detail"]) == (2, "too_large", "in a replay")
    gateway.memory.when("a", None)
    await gateway.replay(reason="too_large")
    assert (gateway.delivered("a"), await gateway.numbers()) == ([1], [])


async def test_replays_at_once_send_each_letter_once(gateway):
    """Several replays of the same letters share them, and all are delivered once."""
    await gateway.fail(*range(700))
    started = [(await gateway.result("replay", {"socket": "*", "rate": 100_000}))["Replay"] for _ in range(3)]
    replays = [await gateway.over(each["id"]) for each in started]
    assert sorted(gateway.delivered("a")) == list(range(700))
    assert sum(replay.delivered for replay in replays) == 700
    assert sum(replay.failed for replay in replays) == 0


async def test_a_replay_leaves_what_comes_after_its_start(gateway):
    """Letters of events that fail while a replay runs are not part of it, so that it ends."""

    def fail_again(batch):
        gateway.journal.letters.add("memory:a", batch.events, ["rejected"] * len(batch.events))
        return True

    gateway.memory.when("a", fail_again)
    await gateway.fail(1, 2, 3)
    assert (await gateway.replay(socket="*")).delivered == 3
    await until(lambda: gateway.journal.letters.count == 3)


async def test_a_replay_waits_for_a_peer_that_is_away(gateway):
    """Letters to a peer that is away wait in the replay, which is stopped by a command; all of them stay."""

    def away(_):
        raise evframe.Unavailable("refused")

    gateway.memory.when("a", away)
    await gateway.fail(1, 2)
    number = (await gateway.result("replay", {"socket": "*"}))["Replay"]["id"]
    replay = gateway.journal.replays.all[number]
    await until(lambda: replay.under_way >= 1)
    (listed,) = (await gateway.result("replays"))["Replays"]
    assert listed == {"id": number, "state": "running", "delivered": 0, "failed": 0, "left": 0, "under_way": replay.under_way}  # fmt: skip
    assert (await gateway.error("drop", {"ids": [1]}))["code"] == 404  # the replay has it
    assert await gateway.result("stop", [number]) == "OK"
    await gateway.over(number)
    (first, second) = (await gateway.result("list"))["Letters"]
    assert (first["attempts"], second["attempts"], first["reason"]) == (1, 1, "rejected")
    gateway.memory.when("a", None)
    await gateway.replay(socket="*")
    assert gateway.delivered("a") == [1, 2]


async def test_a_peer_that_is_away_delays_no_other(gateway):
    """Letters for other peers are delivered meanwhile; those of the peer follow when it is back, all in order."""
    problems = [evframe.Unavailable("refused")]

    def away(batch):
        if problems:
            raise problems[0]
        gateway.memory.delivered.setdefault("a", []).extend(batch.events)
        return True

    gateway.memory.when("a", away)
    for start in (0, 200, 400):
        await gateway.fail(*range(start, start + 200))
        await gateway.fail(*range(start, start + 100), socket="memory:b")
    number = (await gateway.result("replay", {"socket": "*", "rate": 100_000}))["Replay"]["id"]
    await until(lambda: len(gateway.delivered("b")) == 300)
    replay = gateway.journal.replays.all[number]
    assert (replay.is_over, replay.under_way <= 256) == (False, True)
    problems.clear()
    assert (await gateway.over(number)).delivered == 900
    assert gateway.delivered("a") == list(range(600))
    assert gateway.delivered("b") == [n for start in (0, 200, 400) for n in range(start, start + 100)]
    assert await gateway.numbers(limit=1) == []


async def test_letters_under_way_stay_when_the_interface_is_left(tmp_path):
    """A replay ends with the process; its letters are as they were in the next one, and nothing replays by itself."""
    gateway = Gateway(tmp_path / "journal")

    def away(_):
        raise evframe.Unavailable("refused")

    gateway.memory.when("a", away)
    async with gateway.events:
        await gateway.fail(*range(10))
        await gateway.result("replay", {"socket": "*", "rate": 100_000})
    gateway = Gateway(tmp_path / "journal")
    async with gateway.events:
        letters = (await gateway.result("list"))["Letters"]
        assert [(each["attempts"], each["reason"]) for each in letters] == [(1, "rejected")] * 10
        assert gateway.delivered("a") == []


def test_the_pace():
    """In any second a replay sends its rate and at most a twentieth of that more, however late its turns are."""
    clock = FakeClock()
    pace = Pace(1000, clock)
    sent = []
    for wait_s in [0.01] * 100 + [0.7] + [0.05] * 40 + [0.013] * 100:
        while pace.take():
            sent.append(clock())
        clock.advance(wait_s)
    assert len(sent) > 2000
    for first, at in enumerate(sent):
        assert sum(each < at + 1 for each in sent[first:]) <= 1050
    slow = Pace(1, clock)
    assert (slow.take(), slow.take(), slow.wait_s) == (True, False, 1.0)


async def test_the_policy_holds_for_the_target(tmp_path):
    """`to` is a socket that the clients of the interface may subscribe; another one is refused and counted."""
    gateway = Gateway(tmp_path / "journal", schemes=["memory"], networks=["127.0.0.0/8"])
    async with gateway.events:
        await gateway.fail(1)
        gateway.events.plugin("mi").policies.configure(ManagementOptions(schemes=["udp"]), {})
        assert (await gateway.error("replay", {"socket": "*", "to": "memory:b"}))["code"] == 400
        assert gateway.events.plugin("mi").policies.refused["schemes"] == 1
        replay = await gateway.replay(socket="*")  # no subscriber has that socket, so that it is the client's target
        assert (replay.left, "expected a permitted scheme" in replay.problem) == (1, True)
        gateway.events.subscribe_event("E_DEAD", "memory:a")
        assert (await gateway.replay(socket="*")).delivered == 1


async def test_commands_that_a_policy_does_not_permit(tmp_path):
    """An interface for reading lists letters, and neither replays nor drops them."""
    gateway = Gateway(tmp_path / "journal", commands=["*:list", "*:show"])
    async with gateway.events:
        await gateway.fail(1)
        assert await gateway.numbers() == [1]
        for method, params in (("replay", {"socket": "*"}), ("drop", {"ids": [1]}), ("stop", [1])):
            assert (await gateway.error(method, params))["code"] == 400
        assert await gateway.numbers() == [1]


async def test_ids_beyond_32_bits(tmp_path):
    """After billions of letters, each is shown, replayed and dropped by its id, and listings continue."""
    gateway = Gateway(tmp_path / "journal")
    async with gateway.events:
        await gateway.fail(0)
        await gateway.result("drop", {"ids": [1]})
    with sqlite3.connect(tmp_path / "journal") as database:
        database.execute("UPDATE sqlite_sequence SET seq = ? WHERE name = 'dead'", (2**40,))
    database.close()
    gateway = Gateway(tmp_path / "journal")
    async with gateway.events:
        await gateway.fail(1, 2, 3)
        first = await gateway.result("list", {"limit": 1})
        assert first["next"] == 2**40 + 1
        assert [each["id"] for each in (await gateway.result("list", {"after": str(first["next"])}))["Letters"]] == [
            2**40 + 2,
            2**40 + 3,
        ]
        assert await gateway.params(2**40 + 2) == {"number": 2}
        assert (await gateway.replay(ids=[2**40 + 2])).delivered == 1
        assert await gateway.result("drop", {"ids": f"{2**40 + 1}"}) == {"Dropped": 1}
        assert await gateway.numbers() == [3]


VALUES = [None, True, -1, 0, 1.5, 2**70, "", "x", "1,,2", "\udcff", "[", "*" * 5000, [], {}, [[1]], [None, 1], {"a": 1}]


@pytest.mark.parametrize("method", ["list", "show", "replay", "stop", "drop"])
async def test_any_value_of_a_parameter_is_answered(gateway, caplog, method):
    """Whatever a parameter is, the answer is a result or an error of the protocol that names it, never a traceback."""
    command = gateway.events.commands.find(f"dead_letters:{method}")
    names = {name for recipe in command.recipes for name in recipe}
    for name in (*names, *command.optional):
        for value in VALUES:
            needed = {} if name in names or method in {"list", "replay", "drop"} else dict.fromkeys(names, 1)
            answer = await gateway.ask(method, {**needed, name: value})
            assert answer.get("error", {}).get("code") in {None, 400, 404, -32602}, (name, value, answer)
    assert not any(record.exc_info for record in caplog.records)


async def test_a_kept_subscriber_is_kept_after_a_replay_to_it(gateway):
    """The end of the member that a replay has opened does not end the queue of the subscriber with its socket."""
    await gateway.fail(1, socket="memory:kept")
    await gateway.replay(socket="*")
    gateway.memory.when("kept", away)
    gateway.events.raise_event("E_OTHER", [1])
    await until(lambda: gateway.journal.written == 1)


def away(batch):
    raise evframe.Unavailable("refused")
