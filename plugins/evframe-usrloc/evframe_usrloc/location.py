"""The location service: the Python interface of the registry, with its clock and its store."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

from evframe_usrloc.announcer import Announcer
from evframe_usrloc.contacts import (
    CALLID,
    NO_PUSH,
    PUSH,
    URI,
    Binding,
    Contact,
    Registration,
    check_number,
    check_text,
    is_text,
    is_valid,
)
from evframe_usrloc.journal import Journal
from evframe_usrloc.options import Options
from evframe_usrloc.persistence import Persistence
from evframe_usrloc.registry import Registry
from evframe_usrloc.table import Table

LOCATION: Final = "location"
"""The domain that exists from the start."""
SLICE: Final = 250
"""The addresses that expire in one turn of the loop."""


class LocationService:
    """Registers and finds contacts; every call belongs on the thread of the loop.

    Args:
        options: the table ``[plugins.usrloc]``.
        clock: Unix time in seconds.
    """

    def __init__(self, options: Options, clock: Callable[[], float]) -> None:
        self.options = options
        """The table ``[plugins.usrloc]``."""
        self.now = clock
        """The clock: Unix time in seconds."""
        self._announcer = Announcer()
        self._journal = Journal(options.matching_mode) if options.db_path else None
        self._registry = Registry(options, self._announcer, self._journal)
        self._registry.table(LOCATION)
        self._persistence: Persistence | None = None
        self._ready = asyncio.Event()

    def save(
        self,
        aor: str,
        contacts: Iterable[Registration],
        *,
        callid: str = "",
        cseq: int | None = None,
        domain: str = LOCATION,
    ) -> tuple[Contact, ...]:
        """Register contacts of an address, all of them or none, and return all that it has then.

        Args:
            aor: the address of record.
            contacts: the contacts, each once; a lease of 0 removes one.
            callid: the Call-ID of the registration.
            cseq: its CSeq; None for one above whatever is known.
            domain: the table.

        Raises:
            StaleRegistration: if the registration is older than what is known of one of them.
            ValueError: if a value cannot be kept, or a contact occurs twice.
        """
        contacts = list(contacts)
        check_text("domain", domain, empty=False)
        check_text("aor", aor, empty=False)
        check_text("callid", callid)
        if cseq is not None:
            check_number("cseq", cseq)
        for each in contacts:
            each.check()
        if len({each.uri for each in contacts}) < len(contacts):
            raise ValueError(f"contacts: expected each URI once, got {[each.uri for each in contacts]}")
        aor = self._registry.address(aor)
        now = self.now()
        self._registry.save(domain, aor, contacts, callid, cseq, now)
        return self._contacts(self._registry.lookup(domain, aor, now))

    def register(self, aor: str, uri: str, *, callid: str = "", domain: str = LOCATION, **details: Any) -> Contact:
        """Register one contact that follows whatever is known of it, and return it.

        Args:
            aor: the address of record.
            uri: the contact's own address.
            callid: the Call-ID of the registration.
            domain: the table.
            details: the other fields of a `Registration`.
        """
        if details.get("expires_s", 1) == 0:
            raise ValueError("expires_s: expected 1 or more, or None, got 0")
        contacts = self.save(aor, [Registration(uri, **details)], callid=callid, domain=domain)
        return next(each for each in contacts if each.uri == uri and each.callid == callid)

    def lookup(self, aor: str, *, domain: str = LOCATION) -> tuple[Contact, ...]:
        """Return the contacts of an address that have not expired, the best one first."""
        return self._contacts(self._registry.lookup(domain, self._registry.address(aor), self.now()))

    def delete(self, aor: str, *, domain: str = LOCATION) -> int:
        """Remove an address, and return how many contacts it had."""
        if not (is_text(aor) and is_text(domain)):
            return 0
        return self._registry.delete(domain, self._registry.address(aor), self.now())

    def delete_contact(self, aor: str, uri: str, *, callid: str | None = None, domain: str = LOCATION) -> int:
        """Remove the contacts of an address with a URI, and a Call-ID unless it is None; return how many."""
        if not all(map(is_text, (aor, uri, callid or "", domain))):
            return 0
        return self._registry.delete_contact(domain, self._registry.address(aor), uri, callid, self.now())

    def ping_answered(self, contact: Contact, latency_us: int) -> bool:
        """Record that a ping was answered; return whether the contact still exists.

        Args:
            contact: who answered.
            latency_us: the round trip, in microseconds.
        """
        check_number("latency_us", latency_us)
        return self._registry.ping_answered(
            contact.domain, contact.aor, contact.uri, contact.callid, latency_us, self.now()
        )

    def request_refresh(self, contact: Contact, method: str, callid: str, *, initial: bool = True) -> bool:
        """Ask for the refresh of a contact with push notification because a request is for it.

        Args:
            contact: whom the request is for.
            method: that of the request, such as ``INVITE``.
            callid: that of the request.
            initial: whether it begins something, and is not within it.

        Returns:
            Whether it was asked for: the contact exists and has push notification.
        """
        check_text("method", method, empty=False)
        check_text("callid", callid)
        for binding in self._registry.lookup(contact.domain, contact.aor, self.now()):
            if binding[URI] == contact.uri and binding[CALLID] == contact.callid and binding[PUSH] != NO_PUSH:
                self._announcer.refresh(binding, f"{'ini' if initial else 'mid'}-{method}", callid)
                return True
        return False

    def __iter__(self) -> Iterator[Contact]:
        """Yield every contact that has not expired; the registry may change meanwhile."""
        for table in self.tables:
            for record in table:
                yield from self._contacts(each for each in record if is_valid(each, self.now()))

    def __len__(self) -> int:
        return sum(table.contacts for table in self.tables)

    def __bool__(self) -> bool:
        return True

    @property
    def tables(self) -> list[Table]:
        """The domains."""
        return list(self._registry.tables.values())

    async def ready(self) -> None:
        """Wait until everything in the store is in memory, or all that could be read."""
        await self._ready.wait()

    def flush(self) -> bool:
        """Have the changes written now; return whether there is a store."""
        if self._persistence is None:
            return False
        self._persistence.flush()
        return True

    def sync(self, aor: str | None = None, *, domain: str = LOCATION) -> bool:
        """Have the store forget a domain, or one address, and write it anew; return whether there is a store."""
        if self._persistence is None or self._journal is None:
            return False
        if aor is None:
            self._persistence.sync(domain)
        else:
            check_text("aor", aor)
            aor = self._registry.address(aor)
            self._journal.renew(domain, aor, self._registry.lookup(domain, aor, self.now()))
            self._persistence.flush()
        return True

    def counters(self) -> dict[str, Any]:
        """Return how many addresses and contacts there are, how many have expired, and what the store lacks."""
        counted: dict[str, Any] = {
            "Domains": [
                {"name": table.name, "users": table.users, "contacts": table.contacts, "expires": table.expired}
                for table in self.tables
            ],
            "registered_users": sum(table.users for table in self.tables),
        }
        if self._persistence is not None:
            counted["Store"] = {
                "loaded": self._ready.is_set(),
                "pending": self._persistence.pending,
                "errors": self._persistence.errors,
            }
        return counted

    def expire(self) -> None:
        """Drop everything that has expired; what the timer does at every whole second, a slice at a time."""
        while self._registry.expire(self.now(), SLICE):
            pass

    @staticmethod
    def _contacts(record: Iterable[Binding]) -> tuple[Contact, ...]:
        return tuple(Contact(*binding) for binding in record)
