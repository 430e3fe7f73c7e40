"""The plugin: its contract, its clock, its commands, its options."""

import asyncio
import gc
import json
import sys
import time

import pytest
from call_counts import count_calls
from evframe_usrloc import Options, Registration, Usrloc

import evframe
from evframe.plugins.commands import CommandError
from evframe.testing import FakeClock, Recorder, SourceContract, until

QUICK = 1_000_000.99  # a clock that stands still here has the timer look every hundredth of a second


class TestContract(SourceContract):
    """What every source does."""

    name = "usrloc"

    def source(self):
        return Usrloc(Options(contact_refresh_timer=True), clock=FakeClock(QUICK))

    async def provoke(self, recorder):
        usrloc = recorder.plugin("usrloc")
        contact = usrloc.register("bob", "sip:a;pn-provider=x;pn-prid=y", expires_s=100)
        usrloc.register("bob", contact.uri, expires_s=100)
        usrloc.ping_answered(contact, 5)
        usrloc.now.advance(60)
        await until(lambda: recorder.interface.event("E_UL_CONTACT_REFRESH").raised)
        usrloc.now.advance(60)


@pytest.fixture
def clock():
    return FakeClock(QUICK)


@pytest.fixture
async def recorder(clock):
    async with Recorder({"usrloc": Usrloc(Options(dump_limit=3), clock=clock)}) as recorder:
        yield recorder


async def test_the_timer_ends_a_lease():
    """On the real clock a lease ends by itself, at its second and not before."""
    async with Recorder({"usrloc": Usrloc()}) as recorder:
        contact = recorder.plugin("usrloc").register("bob", "a", expires_s=1)
        events = await recorder.wait_for(4)
        assert time.time() >= contact.expires
        assert [name for name, _ in events[2:]] == ["E_UL_CONTACT_DELETE", "E_UL_AOR_DELETE"]


async def test_leases_that_end_together_end_in_slices(recorder, clock):
    """Between any two turns of the loop only so many addresses expire, and all of them at last."""
    usrloc = recorder.plugin("usrloc")
    for number in range(2000):
        usrloc.register(f"user{number}", "a", expires_s=10)
    clock.advance(11)
    left, most = len(usrloc), 0
    async with asyncio.timeout(30):
        while left:
            await asyncio.sleep(0)
            left, before = len(usrloc), left
            most = max(most, before - left)
    assert 0 < most <= 250


async def test_status(tmp_path):
    """The status says that the store is being read, and that the contacts are loaded."""
    async with Recorder({"usrloc": Usrloc(Options(db_path=str(tmp_path / "s")))}) as recorder:
        status = recorder.interface.status.group("usrloc").find()
        assert status.status == -1
        await recorder.plugin("usrloc").ready()
        await until(lambda: (status.status, status.details) == (1, "data available"))


async def test_it_can_be_entered_again(tmp_path):
    """An interface that was left and entered again has its contacts, and its store."""
    events = evframe.EventInterface(plugins={"usrloc": Usrloc(Options(db_path=str(tmp_path / "s")))})
    for number in range(3):
        async with events:
            await events.plugin("usrloc").ready()
            events.plugin("usrloc").register("bob", f"sip:{number}")
            assert len(events.plugin("usrloc")) == number + 1


def add(recorder, contact="sip:a", **params):
    defaults = {"table_name": "location", "aor": "bob", "contact": contact, "expires": 60}
    return recorder.command("ul_add", **{**defaults, **params})


async def test_commands(recorder, clock):
    """Contacts are added, shown and removed by command, under the names of both generations."""
    assert add(recorder) == "OK"
    assert add(recorder, "sip:b", expires=0, q="0.5", flags=1, cflags=2, methods=32767) == "OK"
    assert add(recorder, expires="90") == "OK"
    assert recorder.command("usrloc:show_contact", table_name="location", aor="bob") == {
        "AOR": "bob",
        "Contacts": [
            {
                "Contact": "sip:b",
                "Expires": "permanent",
                "Q": "0.5",
                "Callid": "mi@evframe",
                "Cseq": 1,
                "Flags": 1,
                "Cflags": 2,
                "Methods": 32767,
                "Latency": 0,
            },
            {
                "Contact": "sip:a",
                "Expires": 91,
                "Callid": "mi@evframe",
                "Cseq": 2,
                "Flags": 0,
                "Cflags": 0,
                "Methods": 4294967295,
                "Latency": 0,
            },
        ],
    }
    assert recorder.command("ul_rm_contact", table_name="location", aor="bob", contact="sip:a") == "OK"
    assert recorder.command("ul_rm", table_name="location", aor="bob") == "OK"
    assert recorder.command("usrloc:counters") == {
        "Domains": [{"name": "location", "users": 0, "contacts": 0, "expires": 0}],
        "registered_users": 0,
    }
    names = [name[5:] for name, _ in await recorder.events()]
    assert names == [
        "AOR_INSERT",
        "CONTACT_INSERT",
        "CONTACT_INSERT",
        "CONTACT_UPDATE",
        "CONTACT_DELETE",
        "CONTACT_DELETE",
        "AOR_DELETE",
    ]


@pytest.mark.parametrize(
    ("method", "params", "code", "message"),
    [
        ("ul_rm", {"table_name": "nosuch", "aor": "bob"}, 404, "Table not found"),
        ("ul_rm", {"table_name": "location", "aor": "amy"}, 404, "AOR not found"),
        ("ul_rm_contact", {"table_name": "location", "aor": "amy", "contact": "a"}, 404, "AOR not found"),
        ("ul_rm_contact", {"table_name": "location", "aor": "bob", "contact": "x"}, 404, "Contact not found"),
        ("ul_show_contact", {"table_name": "location", "aor": "amy"}, 404, "AOR not found"),
        ("ul_add", {"table_name": "location", "aor": "b", "contact": "c", "expires": -1}, -32602, "Invalid params"),
        ("ul_add", {"table_name": "nosuch", "aor": "b", "contact": "c", "expires": 1}, 404, "Table not found"),
        ("ul_add", {"table_name": "location", "aor": "b", "contact": "\ud800", "expires": 1}, 400, "Bad parameter"),
        ("ul_dump", {"brief": "long"}, -32602, "Invalid params"),
        ("ul_dump", {"index": -1, "counter": 1}, -32602, "Invalid params"),
    ],
)
async def test_refused_commands(recorder, method, params, code, message):
    """What cannot be done is answered with the error of the original, and changes nothing."""
    add(recorder)
    await recorder.events()
    with pytest.raises(CommandError, match=message) as error:
        recorder.command(method, **params)
    assert error.value.code == code
    assert await recorder.events() == []


@pytest.mark.parametrize("q", ["high", "2", 1.5, "-1", True, [1]])
async def test_bad_priority(recorder, q):
    """A priority is a number from 0 to 1."""
    with pytest.raises(CommandError) as error:
        add(recorder, q=q, flags=0, cflags=0, methods=0)
    assert error.value.code in {400, -32602}
    assert list(recorder.plugin("usrloc")) == []


async def test_dump_is_bounded(recorder):
    """A dump holds so many addresses, says how many there are and where it continues, over all domains."""
    usrloc = recorder.plugin("usrloc")
    for number in range(5):
        usrloc.save(f"user{number}", [Registration("sip:a"), Registration("sip:b")])
        usrloc.register(f"user{number}", "sip:c", domain="other")
    seen, index = [], 0
    while index is not None:
        page = recorder.command("ul_dump", brief="brief", index=index, counter=0)
        assert page["count"] == 10
        listed = [
            (domain["name"], each["AOR"], each["Contacts"]) for domain in page["Domains"] for each in domain["AORs"]
        ]
        assert len(listed) <= 3
        seen += listed
        index = page.get("next")
    assert sorted(seen) == [
        *(("location", f"user{number}", ["sip:a", "sip:b"]) for number in range(5)),
        *(("other", f"user{number}", ["sip:c"]) for number in range(5)),
    ]
    first = recorder.command("usrloc:dump")
    assert (first["next"], first["Domains"][0]["AORs"][0]["Contacts"][0]["Expires"]) == (3, 3601)
    last = recorder.command("usrloc:dump", index=8, counter=9)
    assert ("next" in last, len(last["Domains"][1]["AORs"])) == (False, 2)
    assert recorder.command("ul_dump", index=10, counter=1) == {
        "count": 10,
        "Domains": [{"name": "location", "AORs": []}, {"name": "other", "AORs": []}],
    }
    json.dumps(first)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("matching_mode", 2),
        ("hash_size", 17),
        ("hash_size", -1),
        ("cseq_delay_s", -1),
        ("on_trigger_interval_s", 0),
        ("latency_event_min_us", -1),
        ("latency_event_min_us_delta", -1),
        ("timer_interval_s", 0),
        ("dump_limit", 0),
        ("db_path", "/no/such/directory/file"),
    ],
)
def test_bad_options(option, value):
    """A value that does not fit is an error that names its option."""
    with pytest.raises(ValueError, match=f"{option}: expected"):
        Options(**{option: value})


def calls(work):
    """Return how many calls *work* makes, of Python and of C functions."""
    return count_calls(work)[0]


def test_many_bindings():
    """A hundred thousand bindings take less than 700 bytes each; the last costs what the first did; none is left."""
    clock = FakeClock(QUICK)
    usrloc = Usrloc(clock=clock)

    def register(first, count=200):
        for number in range(first, first + count):
            usrloc.register(
                f"user{number:07d}@example.com",
                f"sip:user{number:07d}@192.0.2.{number % 250}:5060;transport=udp",
                callid=f"{number:08x}-0123456789abcdef@192.0.2.1",
                user_agent=f"Telephone {number % 50}",
                expires_s=3600 + number % 60,
            )

    def refresh():
        register(0)

    few = [calls(lambda: register(0)), calls(refresh), calls(lambda: usrloc.lookup("user0000007@example.com"))]
    register(200, 100_000)
    table = usrloc.tables[0]
    kept = [*table._slots, *(chunk for chunks in table._schedule._buckets.values() for chunk in chunks)]
    kept += [each for slot in table._slots for item in slot.items() for each in item]
    size = sum(map(sys.getsizeof, kept)) / len(usrloc)
    many = [
        calls(lambda: register(200_000)),
        calls(refresh),
        calls(lambda: usrloc.lookup("user0000007@example.com")),
    ]
    assert 300 < size < 700
    assert all(abs(late - early) <= early / 20 for early, late in zip(few, many, strict=True))
    clock.advance(10_000)
    slices = [calls(lambda: usrloc._registry.expire(clock(), 250)) for _ in range(2)]
    usrloc.expire()
    assert abs(slices[0] - slices[1]) <= slices[0] / 20
    assert (len(usrloc), table.users, len(table._schedule), table.expired) == (0, 0, 0, 100_400)
    assert not any(table._slots)


def test_bindings_are_no_work_for_the_collector():
    """The cyclic garbage collector never sees a table, whatever was put into it."""
    usrloc = Usrloc()
    for number in range(10_000):
        usrloc.register(f"user{number}", "sip:a")
    assert not any(gc.is_tracked(slot) for slot in usrloc.tables[0]._slots)
    assert not any(gc.is_tracked(chunk) for chunks in usrloc.tables[0]._schedule._buckets.values() for chunk in chunks)
