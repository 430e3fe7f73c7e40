"""The registry and its store against a literal model: what happens, in which order, and what is stored afterwards."""

import math
import tempfile
from collections import defaultdict
from pathlib import Path

import pytest
from evframe_usrloc import Contact, Options, Registration, StaleRegistration
from evframe_usrloc.announcer import Announcer
from evframe_usrloc.journal import Journal
from evframe_usrloc.registry import Registry
from evframe_usrloc.store import Store
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

START = 1_000_000.0
INTERVAL_S = 3
NEVER = None


class Raised:
    """Stands in for what a plugin may do: keeps what is raised, by address."""

    def __init__(self):
        self.by_address = defaultdict(list)

    def has_subscribers(self, name):
        return True

    def raise_event(self, name, params):
        shown = tuple(params[key] for key in ("uri", "callid", "cseq", "expires", "qval", "latency") if key in params)
        self.by_address[params["domain"], params["aor"]].append((name[5:], *shown))


class Known:
    """A contact of the model."""

    def __init__(self, uri, callid, cseq, expires, q, latency, modified, push):
        self.uri, self.callid, self.cseq, self.expires = uri, callid, cseq, expires
        self.qval = -1 if q is None else q * 1000
        self.latency, self.modified, self.push = latency, modified, push

    def shown(self):
        return self.uri, self.callid, self.cseq, self.expires, self.qval, self.latency

    def copy(self):
        other = Known.__new__(Known)
        other.__dict__.update(self.__dict__)
        return other


class RegistryMachine(RuleBasedStateMachine):
    """Addresses of two domains, with few URIs and calls, so that they meet often."""

    uris = st.sampled_from(["a", "b"])
    calls = st.sampled_from(["x", "y"])
    addresses = st.sampled_from([("location", "amy"), ("location", "bob"), ("other", "amy")])
    leases = st.sampled_from([0, 2, 9, 20, NEVER])
    contacts = st.lists(
        st.tuples(uris, leases, st.sampled_from([None, 0, 1]), st.booleans()),
        min_size=1,
        max_size=2,
        unique_by=lambda each: each[0],
    )

    def __init__(self):
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.store = Store(str(Path(self.folder.name) / "store"))
        self.store.open()
        self.now = START
        self.model = defaultdict(list)
        self.written = defaultdict(list)
        self.expected = defaultdict(list)
        self.raised = Raised()

    @initialize(
        matching_mode=st.sampled_from([0, 1]),
        newest=st.booleans(),
        refreshes=st.booleans(),
        least=st.sampled_from([0, 30]),
        delta=st.sampled_from([0, 20]),
    )
    def begin(self, matching_mode, newest, refreshes, least, delta):
        self.options = Options(
            matching_mode=matching_mode,
            desc_time_order=newest,
            contact_refresh_timer=refreshes,
            on_trigger_interval_s=INTERVAL_S,
            latency_event_min_us=least,
            latency_event_min_us_delta=delta,
            cseq_delay_s=3,
        )
        self.fresh()

    def fresh(self):
        announcer = Announcer()
        announcer.context = self.raised
        self.journal = Journal(self.options.matching_mode)
        self.registry = Registry(self.options, announcer, self.journal)

    # The model: what the reference says, word for word.

    def tell(self, address, event, contact=None):
        self.expected[address].append((event,) if contact is None else (event, *contact.shown()))

    def tell_refresh(self, address, contact):
        self.expected[address].append(("CONTACT_REFRESH", contact.uri, contact.callid, contact.expires))

    def find(self, address, uri, callid):
        for contact in self.model[address]:
            if contact.uri == uri and (self.options.matching_mode == 0 or contact.callid == callid):
                return contact
        return None

    def in_order(self, address):
        if not self.options.desc_time_order:
            self.model[address].sort(key=lambda contact: -contact.qval)

    def settle(self, address):
        expired = [contact for contact in self.model[address] if contact.expires and contact.expires <= self.now]
        for contact in expired:
            self.model[address].remove(contact)
            self.tell(address, "CONTACT_DELETE", contact)
        if expired and not self.model[address]:
            self.tell(address, "AOR_DELETE")
        for contact in self.model[address]:
            if self.options.contact_refresh_timer and contact.push == 1 and contact.expires:
                lease = contact.expires - int(contact.modified)
                if contact.expires - min(INTERVAL_S, lease // 2) <= self.now:
                    contact.push = 2
                    self.tell_refresh(address, contact)

    def is_stale(self, contact, callid, cseq):
        if contact is None or cseq is None or contact.callid != callid or cseq > contact.cseq:
            return False
        return cseq < contact.cseq or self.now - contact.modified >= self.options.cseq_delay_s

    def is_again(self, contact, callid, cseq):
        return contact is not None and cseq is not None and contact.callid == callid and cseq == contact.cseq

    @rule(address=addresses, contacts=contacts, callid=calls, cseq=st.sampled_from([None, 1, 2]))
    def save(self, address, contacts, callid, cseq):
        domain, aor = address
        registrations = [Registration(uri, expires_s=lease, q=q, push=push) for uri, lease, q, push in contacts]
        self.settle(address)
        found = [self.find(address, uri, callid) for uri, *_ in contacts]
        if any(self.is_stale(contact, callid, cseq) for contact in found):
            with pytest.raises(StaleRegistration):
                self.registry.save(domain, aor, registrations, callid, cseq, self.now)
            return
        self.registry.save(domain, aor, registrations, callid, cseq, self.now)
        was_there = bool(self.model[address])
        told = []
        for (uri, lease, q, push), old in zip(contacts, found, strict=True):
            if self.is_again(old, callid, cseq) or (old is None and lease == 0):
                continue
            if lease == 0:
                self.model[address].remove(old)
                told.append(("CONTACT_DELETE", old))
                continue
            expires = 0 if lease is NEVER else math.ceil(self.now + lease)
            number = cseq if cseq is not None else old.cseq + 1 if old else 1
            new = Known(uri, callid, number, expires, q, old.latency if old else 0, self.now, int(push))
            if self.options.desc_time_order:
                if old:
                    self.model[address].remove(old)
                self.model[address].insert(0, new)
            elif old:
                self.model[address][self.model[address].index(old)] = new
            else:
                self.model[address].append(new)
            self.in_order(address)
            told.append(("CONTACT_UPDATE" if old else "CONTACT_INSERT", new))
        if not was_there and self.model[address]:
            self.tell(address, "AOR_INSERT")
        for event, contact in told:
            self.tell(address, event, contact)
        if was_there and not self.model[address]:
            self.tell(address, "AOR_DELETE")

    @rule(address=addresses)
    def delete(self, address):
        domain, aor = address
        self.settle(address)
        gone = self.model[address]
        assert self.registry.delete(domain, aor, self.now) == len(gone)
        self.model[address] = []
        for contact in gone:
            self.tell(address, "CONTACT_DELETE", contact)
        if gone:
            self.tell(address, "AOR_DELETE")

    @rule(address=addresses, uri=uris, callid=st.sampled_from(["x", "y", None]))
    def delete_contact(self, address, uri, callid):
        domain, aor = address
        self.settle(address)
        gone = [each for each in self.model[address] if each.uri == uri and callid in {None, each.callid}]
        assert self.registry.delete_contact(domain, aor, uri, callid, self.now) == len(gone)
        for contact in gone:
            self.model[address].remove(contact)
            self.tell(address, "CONTACT_DELETE", contact)
        if gone and not self.model[address]:
            self.tell(address, "AOR_DELETE")

    @rule(address=addresses, uri=uris, callid=calls, first=st.booleans(), latency=st.sampled_from([0, 10, 29, 31, 60]))
    def ping(self, address, uri, callid, first, latency):
        """Have the first contact of an address answer a ping, or one that is perhaps not there."""
        if first and self.model[address]:
            uri, callid = self.model[address][0].uri, self.model[address][0].callid
        contact = self.find(address, uri, callid)
        if contact is not None and contact.expires and contact.expires <= self.now:
            contact = None
        answered = self.registry.ping_answered(*address, uri, callid, latency, self.now)
        assert answered == (contact is not None)
        if contact is None:
            return
        old, contact.latency = contact.latency, latency
        least, delta = self.options.latency_event_min_us, self.options.latency_event_min_us_delta
        is_long = least > 0 and latency >= least
        has_changed = delta > 0 and old != 0 and abs(latency - old) >= delta
        if is_long or has_changed or (not least and not delta):
            self.tell(address, "LATENCY_UPDATE", contact)

    @rule(seconds=st.sampled_from([0.25, 1, 3, 10]))
    def time_goes_on(self, seconds):
        """Continue without a look at the clock."""
        self.now += seconds

    @rule(limit=st.integers(1, 3))
    def tick(self, limit):
        """Look at the clock, in slices."""
        while self.registry.expire(self.now, limit):
            pass
        for address in list(self.model):
            self.settle(address)

    @rule()
    def write(self):
        """Write what has changed; what the model has now is what a start finds."""
        while parts := self.journal.take(2):
            self.store.write(parts)
        self.written = {address: [each.copy() for each in contacts] for address, contacts in self.model.items()}

    @precondition(lambda self: len(self.journal) > 0)
    @rule()
    def write_in_vain(self):
        """Have a write fail: the changes are tried again with the next one."""
        self.journal.put_back(self.journal.take(2))

    @rule()
    def sync(self):
        """Write the whole of one domain anew."""
        self.store.replace("location", self.registry.table("location").parts())
        kept = {address: contacts for address, contacts in self.written.items() if address[0] != "location"}
        self.written = kept | {
            address: [each.copy() for each in contacts]
            for address, contacts in self.model.items()
            if address[0] == "location"
        }

    @rule()
    def die_and_start(self):
        """Lose what is in memory, and read the store."""
        self.store.close()
        self.store.open()
        self.fresh()
        self.model = defaultdict(list)
        self.expected.clear()
        self.raised.by_address.clear()
        self.journal.loading = True
        while rows := self.store.read(2):
            for binding in rows:
                self.registry.restore(binding, self.now, silently=False)
        self.journal.loading = False
        for address, contacts in self.written.items():
            for contact in sorted(contacts, key=lambda each: (each.modified, each.uri, each.callid)):
                if contact.expires and contact.expires <= self.now:
                    continue
                found = contact.copy()
                found.latency = 0
                if not self.model[address]:
                    self.tell(address, "AOR_INSERT")
                self.model[address].insert(0 if self.options.desc_time_order else len(self.model[address]), found)
                self.in_order(address)
                self.tell(address, "CONTACT_INSERT", found)

    @invariant()
    def same_events(self):
        got = self.raised.by_address
        assert {address: events for address, events in got.items() if events} == {
            address: events for address, events in self.expected.items() if events
        }
        self.raised.by_address.clear()
        self.expected.clear()

    @invariant()
    def same_contacts(self):
        for domain in ("location", "other"):
            for aor in ("amy", "bob"):
                got = [Contact(*binding) for binding in self.registry.lookup(domain, aor, self.now)]
                known = [each for each in self.model[domain, aor] if not each.expires or each.expires > self.now]
                assert [(each.uri, each.callid, each.cseq, each.expires, each.qval, each.latency) for each in got] == [
                    each.shown() for each in known
                ]

    @invariant()
    def same_counts(self):
        for domain in ("location", "other"):
            table = self.registry.tables.get(domain)
            if table is not None:
                records = [contacts for (of, _), contacts in self.model.items() if of == domain and contacts]
                assert (table.users, table.contacts) == (len(records), sum(map(len, records)))

    def teardown(self):
        self.store.close()
        self.folder.cleanup()


TestRegistryMachine = RegistryMachine.TestCase
TestRegistryMachine.settings = settings(max_examples=80, stateful_step_count=40, deadline=None)
