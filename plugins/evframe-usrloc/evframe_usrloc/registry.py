"""The rules of the registry, on a clock that the caller reads."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from evframe_usrloc import events
from evframe_usrloc.announcer import Announcer
from evframe_usrloc.contacts import (
    AOR,
    CALLID,
    CSEQ,
    DOMAIN,
    EXPIRES,
    LATENCY,
    MODIFIED,
    PUSH,
    PUSH_DUE,
    PUSH_NOTIFIED,
    QVAL,
    URI,
    Binding,
    Record,
    Registration,
    StaleRegistration,
    changed,
    is_valid,
)
from evframe_usrloc.journal import Journal
from evframe_usrloc.options import Options
from evframe_usrloc.table import Table


class Registry:
    """Domains with their addresses and contacts; *now* is Unix time in seconds throughout.

    Args:
        options: the table ``[plugins.usrloc]``.
        announcer: is notified of every change.
        journal: keeps the changes for the store; None without one.
    """

    def __init__(self, options: Options, announcer: Announcer, journal: Journal | None = None) -> None:
        self._options = options
        self._announcer = announcer
        self._journal = journal
        self.tables: dict[str, Table] = {}

    def table(self, domain: str) -> Table:
        """Return the table of *domain*, which is made when it is asked for first."""
        table = self.tables.get(domain)
        if table is None:
            table = self.tables[domain] = Table(domain, self._options.hash_size, self._due_of)
        return table

    def address(self, aor: str) -> str:
        """Return an address of record as it is kept."""
        return aor if self._options.use_domain else aor.partition("@")[0]

    def lookup(self, domain: str, aor: str, now: float) -> Record:
        """Return the contacts of an address that have not expired, the best one first."""
        table = self.tables.get(domain)
        record = () if table is None else table.get(aor)
        return tuple(binding for binding in record if is_valid(binding, now))

    def save(  # noqa: PLR0913, PLR0917 the parts of a registration
        self,
        domain: str,
        aor: str,
        registrations: Sequence[Registration],
        callid: str,
        cseq: int | None,
        now: float,
    ) -> None:
        """Add, update or remove contacts of an address, all of them or none.

        Args:
            domain: the table.
            aor: the address.
            registrations: the contacts, each once.
            callid: the Call-ID they come with.
            cseq: their CSeq; None for one that follows whatever is known.
            now: the time.

        Raises:
            StaleRegistration: if one of them is older than what is known.
        """
        table = self.table(domain)
        before = self._settle(table, aor, now)
        steps = [(each, self._match(before, each.uri, callid)) for each in registrations]
        fresh = [
            (each, old) for each, old in steps if old is None or not self._is_retransmission(old, callid, cseq, now)
        ]
        after = list(before)
        changes = []
        for each, old in fresh:
            if each.expires_s != 0:
                changes.append(self._register(table, aor, after, each, old, callid, cseq, now))
            elif old is not None:
                after.remove(old)
                changes.append((events.CONTACT_DELETE, old))
            elif self._journal is not None:
                self._journal.drop_unread(domain, aor, each.uri, callid)
        self._change(table, aor, before, tuple(after), changes)

    def delete(self, domain: str, aor: str, now: float) -> int:
        """Remove an address; return how many contacts it had."""
        table = self.table(domain)
        before = self._settle(table, aor, now)
        if self._journal is not None:
            self._journal.drop_unread(domain, aor)
        self._change(table, aor, before, (), [(events.CONTACT_DELETE, binding) for binding in before])
        return len(before)

    def delete_contact(self, domain: str, aor: str, uri: str, callid: str | None, now: float) -> int:
        """Remove the contacts of an address that have a URI, and a Call-ID if one is given; return how many."""
        table = self.table(domain)
        before = self._settle(table, aor, now)
        if self._journal is not None:
            self._journal.drop_unread(domain, aor, uri, callid)
        gone = [each for each in before if each[URI] == uri and callid in {None, each[CALLID]}]
        after = tuple(binding for binding in before if binding not in gone)
        self._change(table, aor, before, after, [(events.CONTACT_DELETE, binding) for binding in gone])
        return len(gone)

    def ping_answered(self, domain: str, aor: str, uri: str, callid: str, latency_us: int, now: float) -> bool:  # noqa: PLR0913, PLR0917 what names a contact
        """Record the round trip of a ping; return whether the contact exists."""
        table = self.table(domain)
        before = table.get(aor)
        old = self._match(tuple(each for each in before if is_valid(each, now)), uri, callid)
        if old is None:
            return False
        new = changed(old, LATENCY, latency_us)
        table.put(old[AOR], before, tuple(new if each is old else each for each in before))
        if self._is_notable(old[LATENCY], latency_us):
            self._announcer.contact(events.LATENCY_UPDATE, new)
        return True

    def expire(self, now: float, limit: int) -> bool:
        """Drop what has expired and ask for refreshes, of at most *limit* addresses; return whether some are left."""
        for table in self.tables.values():
            while (aor := table.pop_due(now)) is not None:
                self._settle(table, aor, now, popped=True)
                limit -= 1
                if limit <= 0:
                    return True
        return False

    def restore(self, binding: Binding, now: float, *, silently: bool) -> None:
        """Take a contact from the store, unless it has expired or was changed meanwhile."""
        if self._journal is not None and self._journal.overrides(binding):
            return
        table = self.table(binding[DOMAIN])
        before = table.get(binding[AOR])
        if not is_valid(binding, now):
            if self._journal is not None:
                self._journal.drop(binding)
            return
        if self._match(before, binding[URI], binding[CALLID]) is not None:
            return
        after = list(before)
        self._place(after, None, binding)
        table.put(binding[AOR], before, tuple(after))
        if silently:
            return
        if not before:
            self._announcer.address(events.AOR_INSERT, table.name, binding[AOR])
        self._announcer.contact(events.CONTACT_INSERT, binding)

    def __iter__(self) -> Iterator[Binding]:
        for table in self.tables.values():
            for record in table:
                yield from record

    def _settle(self, table: Table, aor: str, now: float, *, popped: bool = False) -> Record:
        """Do what is due for an address by *now*, and return the contacts that are left."""
        before = table.get(aor)
        after: list[Binding] = []
        changes = []
        woken = []
        for binding in before:
            if not is_valid(binding, now):
                changes.append((events.CONTACT_DELETE, binding))
            elif self._wants_refresh(binding) and self._refresh_at(binding) <= now:
                woken.append(changed(binding, PUSH, PUSH_NOTIFIED))
                after.append(woken[-1])
            else:
                after.append(binding)
        if changes or woken or popped:
            table.expired += len(changes)
            self._change(table, aor, before, tuple(after), changes, popped=popped)
            for binding in woken:
                if self._journal is not None:
                    self._journal.keep(binding)
                self._announcer.refresh(binding, "reg-refresh", None)
        return tuple(after)

    def _change(  # noqa: PLR0913 what has changed
        self,
        table: Table,
        aor: str,
        before: Record,
        after: Record,
        changes: Sequence[tuple[str, Binding]],
        *,
        popped: bool = False,
    ) -> None:
        """Replace the contacts of an address, then notify the store and the subscribers."""
        if before or after:
            table.put(aor, before, after, popped=popped)
        if after and not before:
            self._announcer.address(events.AOR_INSERT, table.name, aor)
        for event, binding in changes:
            if self._journal is not None and event == events.CONTACT_DELETE:
                self._journal.drop(binding)
            elif self._journal is not None:
                self._journal.keep(binding)
            self._announcer.contact(event, binding)
        if before and not after:
            self._announcer.address(events.AOR_DELETE, table.name, aor)

    def _register(  # noqa: PLR0913, PLR0917 the parts of a registration
        self,
        table: Table,
        aor: str,
        after: list[Binding],
        each: Registration,
        old: Binding | None,
        callid: str,
        cseq: int | None,
        now: float,
    ) -> tuple[str, Binding]:
        """Put a contact among those of its address, and return the event about it."""
        expires = 0 if each.expires_s is None else math.ceil(now + each.expires_s)
        if old is None:
            new = each.binding(table.name, aor, expires, callid, 1 if cseq is None else cseq, 0, now)
        else:
            number = old[CSEQ] + 1 if cseq is None else cseq
            new = each.binding(table.name, aor, expires, callid, number, old[LATENCY], now)
        self._place(after, old, new)
        return (events.CONTACT_INSERT if old is None else events.CONTACT_UPDATE), new

    def _place(self, after: list[Binding], old: Binding | None, new: Binding) -> None:
        """Put *new* among the contacts of an address, in the place of *old* or a new one."""
        if self._options.desc_time_order:
            if old is not None:
                after.remove(old)
            after.insert(0, new)
            return
        if old is None:
            after.append(new)
        else:
            after[after.index(old)] = new
        after.sort(key=_by_priority)

    def _match(self, record: Record, uri: str, callid: str) -> Binding | None:
        by_call = self._options.matching_mode == 1
        for binding in record:
            if binding[URI] == uri and (not by_call or binding[CALLID] == callid):
                return binding
        return None

    def _is_retransmission(self, old: Binding, callid: str, cseq: int | None, now: float) -> bool:
        """Return whether a registration has been seen before; StaleRegistration if it comes too late."""
        if cseq is None or old[CALLID] != callid or cseq > old[CSEQ]:
            return False
        if cseq == old[CSEQ] and now - old[MODIFIED] < self._options.cseq_delay_s:
            return True
        raise StaleRegistration(old[URI], cseq, old[CSEQ])

    def _is_notable(self, old: int, new: int) -> bool:
        """Return whether a latency raises an event; the original compares increases alone."""
        least, delta = self._options.latency_event_min_us, self._options.latency_event_min_us_delta
        if not least and not delta:
            return True
        return bool((least and new >= least) or (delta and old and abs(new - old) >= delta))

    def _wants_refresh(self, binding: Binding) -> bool:
        return self._options.contact_refresh_timer and binding[PUSH] == PUSH_DUE and binding[EXPIRES] != 0

    def _refresh_at(self, binding: Binding) -> int:
        # A lease shorter than the interval would be due at once, and again with every registration.
        half = (binding[EXPIRES] - int(binding[MODIFIED])) // 2
        return binding[EXPIRES] - min(self._options.on_trigger_interval_s, half)

    def _due_of(self, record: Record) -> int:
        """Return the second at which something has to be done with the contacts of an address; 0 for never."""
        due = 0
        for binding in record:
            at = self._refresh_at(binding) if self._wants_refresh(binding) else binding[EXPIRES]
            if at and (not due or at < due):
                due = at
        return due


def _by_priority(binding: Binding) -> int:
    return -binding[QVAL]
