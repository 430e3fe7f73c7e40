"""The rules of the registry, on a clock that stands still."""

import pytest
from evframe_mi import Management
from evframe_usrloc import Options, Registration, StaleRegistration, Usrloc

from evframe.testing import FakeClock, Recorder

START = 1_000_000


class Bound:
    """A registry and what it raises, short to read."""

    def __init__(self, **options):
        self.clock = FakeClock(START)
        self.recorder = Recorder({"mi": Management(), "usrloc": Usrloc(Options(**options), clock=self.clock)})
        self.usrloc = self.recorder.plugin("usrloc")

    async def told(self):
        """Return the events since the last call as `KIND value`, the value being a contact's URI, or an address."""
        return [f"{name[5:]} {params.get('uri', params['aor'])}" for name, params in await self.recorder.events()]

    async def __aenter__(self):
        await self.recorder.__aenter__()
        return self

    async def __aexit__(self, *error):
        await self.recorder.__aexit__(*error)


async def test_insert_and_delete_order():
    """An address comes before its first contact and goes after its last."""
    async with Bound() as bound:
        bound.usrloc.save("bob", [Registration("a"), Registration("b")])
        assert await bound.told() == ["AOR_INSERT bob", "CONTACT_INSERT a", "CONTACT_INSERT b"]
        bound.usrloc.save("bob", [Registration("a", expires_s=0), Registration("c")])
        assert await bound.told() == ["CONTACT_DELETE a", "CONTACT_INSERT c"]
        assert bound.usrloc.delete("bob") == 2
        assert await bound.told() == ["CONTACT_DELETE b", "CONTACT_DELETE c", "AOR_DELETE bob"]
        assert bound.usrloc.delete("bob") == 0
        bound.usrloc.save("bob", [Registration("a", expires_s=0)])
        assert await bound.told() == []


async def test_what_events_hold():
    """Every value of a contact is in its events, in the order of the catalogue; what is not given is null or empty."""
    async with Bound() as bound:
        bound.usrloc.save("bob@x", [Registration("sip:a")], callid="c1", cseq=7)
        full = Registration(
            "sip:b", 60, 0.5, "sip:1.2.3.4", "<sip:p>", "Phone 1", "udp:1.1.1.1:5060", 3, "at", "vip", 5, 8
        )
        bound.usrloc.save("bob@x", [full], callid="c2", cseq=9, domain="subscriber")
        events = await bound.recorder.events()
    assert events[1] == (
        "E_UL_CONTACT_INSERT",
        {
            "domain": "location",
            "aor": "bob@x",
            "uri": "sip:a",
            "received": None,
            "path": None,
            "qval": -1,
            "user_agent": "",
            "socket": "",
            "bflags": 0,
            "expires": START + 3600,
            "callid": "c1",
            "cseq": 7,
            "attr": "",
            "latency": 0,
            "shtag": "",
        },
    )
    assert list(events[3][1].items()) == [
        ("domain", "subscriber"),
        ("aor", "bob@x"),
        ("uri", "sip:b"),
        ("received", "sip:1.2.3.4"),
        ("path", "<sip:p>"),
        ("qval", 500),
        ("user_agent", "Phone 1"),
        ("socket", "udp:1.1.1.1:5060"),
        ("bflags", 3),
        ("expires", START + 60),
        ("callid", "c2"),
        ("cseq", 9),
        ("attr", "at"),
        ("latency", 0),
        ("shtag", "vip"),
    ]


@pytest.mark.parametrize(
    ("callid", "cseq", "after_s", "told"),
    [
        ("c", 11, 0, ["CONTACT_UPDATE a"]),
        ("c", 10, 19.9, []),  # a retransmission
        ("c", 10, 20, StaleRegistration),
        ("c", 9, 0, StaleRegistration),
        ("other", 1, 0, ["CONTACT_UPDATE a"]),
        ("c", None, 0, ["CONTACT_UPDATE a"]),
    ],
)
async def test_cseq(callid, cseq, after_s, told):
    """A registration of the same call has to have a higher CSeq; an equal one soon after is a retransmission."""
    async with Bound() as bound:
        bound.usrloc.save("bob", [Registration("a")], callid="c", cseq=10)
        await bound.told()
        before = bound.usrloc.lookup("bob")
        bound.clock.advance(after_s)
        if told is StaleRegistration:
            with pytest.raises(StaleRegistration, match="expected a CSeq above 10, got"):
                bound.usrloc.save("bob", [Registration("b"), Registration("a")], callid=callid, cseq=cseq)
            told = []
        else:
            bound.usrloc.save("bob", [Registration("a")], callid=callid, cseq=cseq)
        assert await bound.told() == told
        assert (bound.usrloc.lookup("bob") == before) == (not told)


@pytest.mark.parametrize(("mode", "told"), [(0, ["CONTACT_UPDATE a"]), (1, ["CONTACT_INSERT a"])])
async def test_matching_mode(mode, told):
    """Mode 0 finds a contact by its URI, mode 1 by its URI and its Call-ID."""
    async with Bound(matching_mode=mode) as bound:
        bound.usrloc.save("bob", [Registration("a")], callid="c", cseq=10)
        await bound.told()
        bound.usrloc.save("bob", [Registration("a")], callid="d", cseq=1)
        assert await bound.told() == told
        bound.usrloc.delete_contact("bob", "a", callid="d")
        assert [contact.callid for contact in bound.usrloc.lookup("bob")] == ["c"] * mode


async def test_the_best_contact_first():
    """Contacts are listed by their q, of the same q the older first."""
    async with Bound() as bound:
        for uri, q in (("a", None), ("b", 0.5), ("c", 1), ("d", 0.5)):
            bound.usrloc.register("bob", uri, q=q)
        assert [contact.uri for contact in bound.usrloc.lookup("bob")] == ["c", "b", "d", "a"]
        bound.usrloc.register("bob", "a", q=0.7)
        bound.usrloc.register("bob", "b", q=0.5)
        assert [contact.uri for contact in bound.usrloc.lookup("bob")] == ["c", "a", "b", "d"]


async def test_the_newest_contact_first():
    """With `desc_time_order` the last registration counts, whatever the q."""
    async with Bound(desc_time_order=True) as bound:
        for uri, q in (("a", 1), ("b", 0.5), ("c", 0), ("b", None)):
            bound.usrloc.register("bob", uri, q=q)
        assert [contact.uri for contact in bound.usrloc.lookup("bob")] == ["b", "c", "a"]


async def test_expiry_is_on_time():
    """A contact exists until its second, and is gone with it; a permanent one stays."""
    async with Bound() as bound:
        bound.usrloc.register("bob", "a", expires_s=10)
        bound.usrloc.register("bob", "b", expires_s=None)
        bound.usrloc.register("amy", "c", expires_s=20)
        await bound.told()
        bound.clock.advance(9.9)
        bound.usrloc.expire()
        assert (await bound.told(), len(bound.usrloc.lookup("bob"))) == ([], 2)
        bound.clock.advance(0.1)
        assert [contact.uri for contact in bound.usrloc.lookup("bob")] == ["b"]  # even before it is dropped
        bound.usrloc.expire()
        assert await bound.told() == ["CONTACT_DELETE a"]
        bound.clock.advance(10)
        bound.usrloc.expire()
        assert await bound.told() == ["CONTACT_DELETE c", "AOR_DELETE amy"]
        bound.clock.advance(1e6)
        bound.usrloc.expire()
        assert [contact.expires for contact in bound.usrloc] == [0]


async def test_a_lease_is_never_cut_short():
    """A lease that begins within a second ends with the second after its time, not before it."""
    async with Bound() as bound:
        bound.clock.advance(0.9)
        assert bound.usrloc.register("bob", "a", expires_s=1).expires == START + 2


async def test_an_expired_contact_does_not_match():
    """What has expired but was not dropped yet is dropped before a registration, which is a new one."""
    async with Bound() as bound:
        bound.usrloc.save("bob", [Registration("a", expires_s=10)], callid="c", cseq=10)
        await bound.told()
        bound.clock.advance(10)
        bound.usrloc.save("bob", [Registration("a")], callid="c", cseq=1)
        assert await bound.told() == ["CONTACT_DELETE a", "AOR_DELETE bob", "AOR_INSERT bob", "CONTACT_INSERT a"]


async def test_a_shorter_lease_counts():
    """A refresh may end a lease sooner as well as later."""
    async with Bound() as bound:
        bound.usrloc.register("bob", "a", expires_s=100)
        bound.usrloc.register("bob", "a", expires_s=10)
        bound.clock.advance(10)
        bound.usrloc.expire()
        assert (await bound.told())[-2:] == ["CONTACT_DELETE a", "AOR_DELETE bob"]


@pytest.mark.parametrize(("expires_s", "refresh_s"), [(3600, 3480), (240, 120), (200, 100), (1, None)])
async def test_refresh_timer(expires_s, refresh_s):
    """A contact with push notification is woken once before each expiry; of a short lease, after half of it."""
    async with Bound(contact_refresh_timer=True) as bound:
        uri = "sip:a;pn-provider=fcm;pn-prid=x"
        told = []
        for _ in range(2):
            bound.usrloc.save("bob", [Registration(uri, expires_s=expires_s), Registration("sip:plain")])
            await bound.told()
            for second in range(1, expires_s):
                bound.clock.advance(1)
                bound.usrloc.expire()
                told += [(second, event) for event in await bound.recorder.events()]
        if refresh_s is None:
            assert told == []
            return
        assert [second for second, _ in told] == [refresh_s, refresh_s]
        assert told[0][1] == (
            "E_UL_CONTACT_REFRESH",
            {
                "domain": "location",
                "aor": "bob",
                "uri": uri,
                "received": None,
                "user_agent": "",
                "socket": None,
                "bflags": 0,
                "expires": START + expires_s,
                "callid": "",
                "attr": "",
                "shtag": "",
                "reason": "reg-refresh",
                "req_callid": None,
            },
        )


async def test_refresh_for_a_request():
    """A request for a contact with push notification asks for its refresh, without the timer; for others not."""
    async with Bound() as bound:
        pushed, plain = bound.usrloc.save("bob", [Registration("a", push=True, socket="s"), Registration("b")])
        await bound.told()
        assert bound.usrloc.request_refresh(pushed, "INVITE", "call-1")
        assert bound.usrloc.request_refresh(pushed, "BYE", "call-2", initial=False)
        assert not bound.usrloc.request_refresh(plain, "INVITE", "call-1")
        events = [params for _, params in await bound.recorder.events()]
        assert [(each["reason"], each["req_callid"], each["socket"]) for each in events] == [
            ("ini-INVITE", "call-1", "s"),
            ("mid-BYE", "call-2", "s"),
        ]
        bound.usrloc.delete("bob")
        assert not bound.usrloc.request_refresh(pushed, "INVITE", "call-3")


@pytest.mark.parametrize(
    ("least", "delta", "pings", "told"),
    [
        (0, 0, [5, 5, 0], [5, 5, 0]),
        (10, 0, [9, 10, 9, 11], [10, 11]),
        (0, 10, [50, 55, 65, 55, 46], [65, 55]),  # the first is no change; a decrease counts too
        (60, 10, [50, 61, 55, 40], [61, 40]),
    ],
)
async def test_latency(least, delta, pings, told):
    """An answered ping raises an event when it takes long, or much longer or shorter than before, or when nothing is set."""
    async with Bound(latency_event_min_us=least, latency_event_min_us_delta=delta) as bound:
        contact = bound.usrloc.register("bob", "a")
        await bound.told()
        for latency in pings:
            assert bound.usrloc.ping_answered(contact, latency)
        events = await bound.recorder.events()
        assert [params["latency"] for _, params in events] == told
        bound.usrloc.register("bob", "a")
        assert bound.usrloc.lookup("bob")[0].latency == pings[-1]  # a registration keeps it
        bound.usrloc.delete("bob")
        assert not bound.usrloc.ping_answered(contact, 1)


async def test_use_domain():
    """Without `use_domain` an address is what stands before the @."""
    async with Bound(use_domain=False) as bound:
        bound.usrloc.register("bob@x", "a")
        assert [contact.aor for contact in bound.usrloc.lookup("bob@y")] == ["bob"]
        assert bound.usrloc.delete("bob") == 1
    async with Bound() as bound:
        bound.usrloc.register("bob@x", "a")
        assert bound.usrloc.lookup("bob@y") == ()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("uri", ""),
        ("uri", 5),
        ("uri", "\ud800"),
        ("attr", "a\0b"),
        ("expires_s", -1),
        ("expires_s", 2**32),
        ("expires_s", 1.5),
        ("q", 1.1),
        ("received", 1),
        ("user_agent", None),
        ("bflags", -1),
        ("methods", 2**32),
        ("flags", True),
    ],
)
async def test_bad_values(field, value):
    """A value that cannot be kept is an error that names its field, and changes nothing."""
    async with Bound() as bound:
        with pytest.raises(ValueError, match=f"{field}: expected"):
            bound.usrloc.save("bob", [Registration("a"), Registration(**{"uri": "b", field: value})])
        assert await bound.told() == []


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"aor": ""}, "aor: expected"),
        ({"aor": "\udcff"}, "aor: expected"),
        ({"domain": ""}, "domain: expected"),
        ({"callid": None}, "callid: expected"),
        ({"cseq": -1}, "cseq: expected"),
        ({"contacts": [Registration("a"), Registration("a", expires_s=0)]}, "contacts: expected each URI once"),
    ],
)
async def test_bad_registrations(arguments, error):
    """What does not belong to one contact is checked too."""
    async with Bound() as bound:
        with pytest.raises(ValueError, match=error):
            bound.usrloc.save(**{"aor": "bob", "contacts": [Registration("a")], **arguments})
        assert list(bound.usrloc) == []


async def test_iteration_while_it_changes():
    """Every contact is yielded while others come and go."""
    async with Bound() as bound:
        for number in range(500):
            bound.usrloc.register(f"user{number}", "a")
        seen = set()
        for contact in bound.usrloc:
            seen.add(contact.aor)
            bound.usrloc.delete(contact.aor)
            bound.usrloc.register(f"new-{contact.aor}", "b") if len(seen) < 100 else None
        assert {f"user{number}" for number in range(500)} <= seen


async def test_contacts_among_the_statistics():
    """The group usrloc has the names of OpenSIPS, by table."""
    async with Bound() as bound:
        bound.usrloc.save("bob", [Registration("a", 5), Registration("b")])
        bound.clock.advance(6)
        bound.usrloc.expire()
        got = bound.recorder.interface.commands.find("statistics:get").run({"statistics": ["usrloc:"]})
    assert got == {
        "usrloc:location-expires": 1,
        "usrloc:registered_users": 1,
        "usrloc:location-users": 1,
        "usrloc:location-contacts": 1,
    }
