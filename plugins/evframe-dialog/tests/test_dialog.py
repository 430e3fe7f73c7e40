"""The plugin: its contract, its timers, its pings, its commands."""

import asyncio

import pytest
from evframe_dialog import Dialogs, Options, Ping, State
from evframe_mi import Management

from evframe.plugins.commands import CommandError
from evframe.testing import FakeClock, Recorder, SourceContract, until

START = 1_000_000.99  # a clock that stands still here has the timer look every hundredth of a second


class TestContract(SourceContract):
    """What every source does."""

    name = "dialog"

    def source(self):
        return Dialogs()

    async def provoke(self, recorder):
        recorder.plugin("dialog").created("c").ringing()


class Bound:
    """Sessions and what they raise, short to read."""

    def __init__(self, **options):
        self.clock = FakeClock(START)
        plugin = Dialogs(Options(**options), clock=self.clock, first_serial=0x13D083B4)
        self.recorder = Recorder({"mi": Management(), "dialog": plugin})
        self.dialogs = self.recorder.plugin("dialog")

    def answered(self, callid="c", **options):
        """Return a session that was answered and acknowledged."""
        session = self.dialogs.created(callid, **options)
        session.answered()
        session.acknowledged()
        return session

    async def told(self):
        """Return the states of the events since the last call, each as `old new`."""
        return [f"{params['old_state']} {params['new_state']}" for _, params in await self.recorder.events()]

    async def __aenter__(self):
        await self.recorder.__aenter__()
        return self

    async def __aexit__(self, *error):
        await self.recorder.__aexit__(*error)


async def test_what_the_event_holds():
    """One event for each transition, after it, with the parameters of the catalogue in their order."""
    async with Bound() as bound:
        session = bound.dialogs.created("call-1", from_tag="a")
        session.provisional()
        session.provisional("b")
        session.final(200, "b")
        events = await bound.recorder.events()
        slot = int(session.db_id) >> 32
        assert [list(params.items()) for _, params in events] == [
            [
                ("id", session.id),
                ("db_id", session.db_id),
                ("callid", "call-1"),
                ("from_tag", "a"),
                ("to_tag", to_tag),
                ("old_state", old),
                ("new_state", new),
            ]
            for to_tag, old, new in ((None, 1, 2), ("b", 2, 3))
        ]
        assert int(session.db_id) & 0xFFFFFFFF == 0x13D083B4
        assert session.id == f"{slot:x}"[::-1] + ".4b380d31"
        assert 0 <= slot < 4096
        assert bound.dialogs.get(session.id) is bound.dialogs.get(session.db_id) is session


async def test_the_life_of_a_session():
    """Created, ringing, answered, acknowledged, ended: what a generic service says."""
    async with Bound() as bound:
        session = bound.dialogs.created("c")
        assert (session.state, await bound.told()) == (State.UNCONFIRMED, [])
        for say in (session.ringing, session.answered, session.acknowledged, session.ended):
            say()
        assert await bound.told() == ["1 2", "2 3", "3 4", "4 5"]
        assert session.has_ended
        assert len(bound.dialogs) == 0


@pytest.mark.parametrize(
    ("steps", "told"),
    [
        (["final 486"], ["1 5"]),
        (["ringing", "transaction_destroyed"], ["1 2", "2 5"]),
        (["final 486", "final 200"], ["1 5", "5 3"]),  # a late answer revives
        (["bye", "final 200", "ack"], ["1 3", "3 4"]),  # an early BYE is only remembered
        (["bye", "final 486", "final 200"], ["1 5"]),  # and keeps a late answer from reviving
        (["transaction_destroyed", "final 200"], ["1 5"]),
        (["final 200", "bye", "final 200"], ["1 3", "3 5"]),
        (["final 200", "final 200", "ack", "ack", "final 200"], ["1 3", "3 4"]),
        (["ack", "final 200", "ringing", "final 486", "transaction_destroyed"], ["1 3"]),
    ],
)
async def test_transitions(steps, told):
    """What the table says happens, and nothing else does."""
    async with Bound() as bound:
        session = bound.dialogs.created("c")
        for step in steps:
            name, *arguments = step.split()
            getattr(session, name)(*map(int, arguments))
        assert await bound.told() == told


async def test_the_impossible_is_logged_once(caplog):
    """What does not go with the state is counted, and said once for many."""
    async with Bound() as bound:
        session = bound.dialogs.created("c")
        for _ in range(100):
            session.ack()
        assert bound.dialogs.counters()["impossible_steps"] == 100
        assert [record.message for record in caplog.records] == ["what happens to a session does not go with its state"]


async def test_a_bye_of_another_leg():
    """A caller ends the leg that has answered; the end of another changes nothing."""
    async with Bound() as bound:
        session = bound.dialogs.created("c")
        session.provisional("one")
        session.final(200, "two")
        session.bye("caller", "one")
        assert session.state is State.CONFIRMED_NA
        session.bye("caller", "two")
        assert (session.has_ended, session.end_reason) == (True, "Downstream BYE")


async def test_lifetime():
    """A session ends with its lifetime, which begins with the answer and may be extended."""
    async with Bound(default_timeout_s=100) as bound:
        session = bound.dialogs.created("c")
        bound.clock.advance(90)
        session.answered()
        bound.clock.advance(99)
        bound.dialogs.process_due()
        session.extend(50)
        bound.clock.advance(49)
        bound.dialogs.process_due()
        assert session.state is State.CONFIRMED_NA
        bound.clock.advance(2)
        await until(lambda: session.has_ended)  # the timer looks by itself
        assert session.end_reason == "Lifetime Timeout"
        assert await bound.told() == ["1 3", "3 5"]
        assert bound.dialogs.counters()["expired_dialogs"] == 1


async def test_on_timeout():
    """What is called at the end of the lifetime can continue it; when it raises, the session ends."""
    answers = [10, None]
    async with Bound() as bound:
        going_on = bound.answered("a", lifetime_s=60, on_timeout=lambda session: answers.pop(0))
        broken = bound.answered("b", lifetime_s=60, on_timeout=lambda session: 1 / 0)
        bound.clock.advance(61)
        bound.dialogs.process_due()
        assert (going_on.has_ended, broken.has_ended) == (False, True)
        bound.clock.advance(11)
        bound.dialogs.process_due()
        assert going_on.has_ended
        assert answers == []


async def test_setup_and_idle_time_out():
    """A session that is not answered ends, and so does one for which nothing arrives."""
    async with Bound(setup_timeout_s=60, idle_timeout_s=30) as bound:
        waiting = bound.dialogs.created("a")
        silent = bound.answered("b")
        lively = bound.answered("c")
        bound.clock.advance(20)
        lively.record_activity()
        bound.clock.advance(20)
        bound.dialogs.process_due()
        assert (waiting.has_ended, silent.end_reason, lively.has_ended) == (False, "Idle Timeout", False)
        bound.clock.advance(30)
        bound.dialogs.process_due()
        assert (waiting.end_reason, lively.end_reason) == ("Setup Timeout", "Idle Timeout")


@pytest.mark.parametrize(("asks", "ends"), [(True, True), (False, False)])
async def test_race_condition(asks, ends):
    """An answer to what was given up gives a short lifetime, if the session asks for it."""
    async with Bound(race_condition_timeout_s=5) as bound:
        session = bound.dialogs.created("c", end_on_race_condition=asks)
        session.ended()
        session.final(200)
        bound.clock.advance(6)
        bound.dialogs.process_due()
        assert session.has_ended == ends
        assert session.end_reason == ("SIP Race Condition" if ends else "")


async def test_delete_delay():
    """An ended session can be read for so long, and nothing brings it back."""
    async with Bound(delete_delay_s=10) as bound:
        session = bound.answered()
        session.bye("callee")
        await bound.told()
        session.final(200)
        session.bye()
        assert bound.dialogs.find("c") is session
        assert (await bound.told(), session.end_reason) == ([], "Upstream BYE")
        bound.clock.advance(11)
        bound.dialogs.process_due()
        assert bound.dialogs.find("c") is None


async def test_a_call_id_is_used_again():
    """A session that has not ended is an error; one that has makes way."""
    async with Bound(delete_delay_s=10) as bound:
        session = bound.dialogs.created("c", from_tag="a")
        other = bound.dialogs.created("c", from_tag="b")
        with pytest.raises(ValueError, match="callid: expected a new session"):
            bound.dialogs.created("c", from_tag="a")
        session.ended()
        again = bound.dialogs.created("c", from_tag="a")
        assert bound.dialogs.find("c", "a") is again
        assert bound.dialogs.find("c", "b") is other
        assert len(bound.dialogs) == 2


class Pinged:
    """A side that answers pings as the test says."""

    def __init__(self, *codes):
        self.codes = list(codes)
        self.sides = []

    async def __call__(self, session, side):
        self.sides.append(side)
        code = self.codes.pop(0) if self.codes else 200
        if code is None:
            await asyncio.sleep(3600)
        if isinstance(code, Exception):
            raise code
        return code


@pytest.mark.parametrize("code", [408, 481, None, OSError("no route")])
@pytest.mark.parametrize(("kind", "reason"), [("options", "Ping Timeout"), ("reinvite", "ReINVITE Ping Timeout")])
async def test_a_dead_side(code, kind, reason):
    """A side that does not answer, or does not know the session, ends it at the next round."""
    async with Bound(options_ping_interval_s=30, reinvite_ping_interval_s=30, ping_timeout_s=0.02) as bound:
        caller, callee = Pinged(200, code), Pinged(503, 404, 200)
        session = bound.answered(pings=[Ping("caller", caller, kind), Ping("callee", callee, kind)])
        for count in (1, 2):
            bound.clock.advance(31)
            await until(lambda count=count: (len(caller.sides), len(callee.sides)) == (count, count))
            await until(lambda: not any(each.under_way for each in session.rounds))
            assert not session.has_ended
        bound.clock.advance(31)
        await until(lambda: session.has_ended)
        assert session.end_reason == reason
        assert (caller.sides, callee.sides) == (["caller"] * 2, ["callee"] * 2)


async def test_both_sides_are_told():
    """A session with `hang_up` ends once both sides are notified, or have not been in time, whatever one of them does."""
    told = []

    async def hang_up(session, side):
        assert session.state is State.CONFIRMED
        told.append(side)
        if side == "caller":
            raise OSError("gone")
        await asyncio.sleep(3600)

    async with Bound(hang_up_timeout_s=0.05) as bound:
        session = bound.answered(hang_up=hang_up, lifetime_s=10)
        bound.clock.advance(11)
        await until(lambda: session.has_ended)
        assert (sorted(told), session.end_reason) == (["callee", "caller"], "Lifetime Timeout")
        assert await bound.told() == ["1 3", "3 4", "4 5"]


async def test_many_timers_are_looked_at_in_slices():
    """Between any two turns of the loop only so many sessions end, and nothing of them is left."""
    async with Bound(default_timeout_s=10) as bound:
        for number in range(3000):
            bound.answered(f"c{number}")
        bound.clock.advance(11)
        left, most = len(bound.dialogs), 0
        async with asyncio.timeout(30):
            while left:
                await asyncio.sleep(0)
                left, before = len(bound.dialogs), left
                most = max(most, before - left)
        assert 0 < most <= 500
        assert len(bound.dialogs._sessions._schedule) == 0
        assert bound.dialogs._sessions._by_call == {}


async def test_profiles():
    """Sessions count for profiles, by value and once as a whole, until they end."""
    async with Bound() as bound:
        profiles = bound.dialogs.profiles
        one, two = bound.answered("a"), bound.answered("b")
        one.add_profile("inbound", "gw1")
        one.add_profile("inbound", "gw2")
        two.add_profile("inbound", "gw1")
        two.add_profile("all")
        assert [profiles.size("inbound", value) for value in (None, "gw1", "gw2", "gw3")] == [2, 2, 1, 0]
        assert one.remove_profile("inbound", "gw1")
        assert not one.remove_profile("inbound", "gw1")
        assert bound.recorder.command("profile_get_size", profile="inbound", value="gw1") == {
            "Profile": {"name": "inbound", "value": "gw1", "count": 1}
        }
        assert bound.recorder.command("profile_get_values", profile="inbound") == {
            "Values": [{"value": "gw1", "count": 1}, {"value": "gw2", "count": 1}]
        }
        assert bound.recorder.command("list_all_profiles") == {
            "Profiles": [{"name": "inbound", "count": 2}, {"name": "all", "count": 1}]
        }
        listed = bound.recorder.command("dialog:profile_list_dlgs", profile="inbound", value="gw2")
        assert [each["callid"] for each in listed["Dialogs"]] == ["a"]
        two.ended()
        assert "all" not in profiles
        two.add_profile("all")
        with pytest.raises(CommandError, match="Profile not found"):
            bound.recorder.command("profile_get_size", profile="all")
        one.ended()
        assert list(profiles) == []


async def test_list_and_end():
    """Sessions are listed a page at a time or one by one, and ended by either id or by Call-ID."""
    async with Bound(list_limit=2) as bound:
        sessions = [bound.answered(f"c{number}", from_tag="f") for number in range(3)]
        sessions[0].values["account"] = "prepaid"
        page = bound.recorder.command("dlg_list")
        assert (page["count"], [each["ID"] for each in page["Dialogs"]]) == (3, [each.id for each in sessions[:2]])
        page = bound.recorder.command("dialog:list", index=2, counter=5)
        assert [each["callid"] for each in page["Dialogs"]] == ["c2"]
        one = bound.recorder.command("dlg_list", callid="c0", from_tag="f")["Dialog"]
        assert one["timeout"] - one["timestart"] in {43199, 43200}
        assert (one["state"], one["values"], one["db_id"]) == (4, {"account": "prepaid"}, sessions[0].db_id)
        for session, identity in zip(sessions, (sessions[0].id, sessions[1].db_id, "c2"), strict=True):
            assert bound.recorder.command("dlg_end_dlg", dialog_id=identity) == "OK"
            assert (session.has_ended, session.end_reason) == (True, "MI Termination")
        assert bound.recorder.command("dialog:counters") == {
            "active_dialogs": 0,
            "early_dialogs": 0,
            "processed_dialogs": 3,
            "expired_dialogs": 0,
            "failed_dialogs": 0,
            "impossible_steps": 0,
        }


@pytest.mark.parametrize(
    ("method", "params", "code"),
    [
        ("dlg_list", {"callid": "nosuch"}, 404),
        ("dlg_list", {"callid": "c", "from_tag": "nosuch"}, 404),
        ("dlg_list", {"index": -1, "counter": 1}, -32602),
        ("dlg_end_dlg", {"dialog_id": "nosuch"}, 404),
        ("dlg_end_dlg", {"dialog_id": "zz.1"}, 404),
        ("profile_get_values", {"profile": "nosuch"}, 404),
    ],
)
async def test_refused_commands(method, params, code):
    """What is not there is an error, and changes nothing."""
    async with Bound() as bound:
        bound.answered("c")
        await bound.told()
        with pytest.raises(CommandError) as error:
            bound.recorder.command(method, **params)
        assert (error.value.code, await bound.told()) == (code, [])


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda dialogs: dialogs.created(""), "callid: expected"),
        (lambda dialogs: dialogs.created("c", from_tag=5), "from_tag: expected"),
        (lambda dialogs: dialogs.created("\ud800"), "callid: expected"),
        (lambda dialogs: dialogs.created("c").provisional("\ud800"), "to_tag: expected"),
        (lambda dialogs: dialogs.created("c").final(200, "\ud800"), "to_tag: expected"),
        (lambda dialogs: dialogs.created("c", lifetime_s=0), "lifetime_s: expected"),
        (lambda dialogs: dialogs.created("c").final(180), "code: expected 200 to 699"),
        (lambda dialogs: dialogs.created("c").extend(-1), "lifetime_s: expected"),
        (lambda _: Options(default_timeout_s=0), "default_timeout_s: expected"),
        (lambda _: Options(hash_size=0), "hash_size: expected"),
        (lambda _: Options(ping_timeout_s=0), "ping_timeout_s: expected"),
    ],
)
def test_bad_values(call, error):
    """A value that does not fit is an error that names its field."""
    with pytest.raises(ValueError, match=error):
        call(Dialogs())


async def test_sessions_among_the_statistics():
    """The group dialog has the names of OpenSIPS; what is open may fall, and the rest only grows."""
    async with Bound() as bound:
        bound.answered("c")
        bound.dialogs.created("d").provisional()
        get = bound.recorder.interface.commands.find("statistics:get")
        got = get.run({"statistics": ["dialog:"]})
        assert (got["dialog:active_dialogs"], got["dialog:early_dialogs"], got["dialog:processed_dialogs"]) == (1, 1, 2)
        kinds = bound.recorder.interface.commands.find("statistics:list").run({"statistics": ["active_dialogs"]})
    assert kinds == {"dialog:active_dialogs": "non-incremental"}


async def test_end_with_extra_headers():
    """`dialog:end_dlg` takes `extra_hdrs`, which the messages to both sides can have."""
    sent = []

    async def hang_up(session, side):
        sent.append((side, session.extra_headers))

    async with Bound() as bound:
        bound.answered("c", hang_up=hang_up)
        headers = "Reason: Q.850;cause=16\r\n"
        assert bound.recorder.command("dialog:end_dlg", dialog_id="c", extra_hdrs=headers) == "OK"
        await until(lambda: len(sent) == 2)
    assert sorted(sent) == [("callee", headers), ("caller", headers)]


async def test_list_with_context():
    """`dialog:list_ctx` is `dialog:list` with the values and profiles of each session."""
    async with Bound() as bound:
        session = bound.answered("c")
        session.values["account"] = "7"
        session.add_profile("gate", "one")
        plain = bound.recorder.command("dialog:list", callid="c")["Dialog"]
        (listed,) = bound.recorder.command("dlg_list_ctx")["Dialogs"]
        assert bound.recorder.command("dialog:list_ctx", callid="c")["Dialog"] == listed
    assert listed.pop("context") == {
        "values": [{"name": "account", "value": "7"}],
        "profiles": [{"name": "gate", "value": "one"}],
    }
    assert listed == plain
