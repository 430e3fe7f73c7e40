"""The management commands of the registry."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from typing import Any, Final

import attrs

from evframe.plugin import Command, CommandError, Listing, int_param, invalid_params, text_param
from evframe_usrloc.contacts import Contact, Registration
from evframe_usrloc.location import LocationService

CALL_ID: Final = "mi@evframe"
"""The Call-ID of contacts that are added by command."""
_TABLE: Final = ("table_name", "aor")


def usrloc_commands(service: LocationService) -> Iterator[Command]:
    """Yield the ``usrloc:`` commands."""
    commands = _Commands(service)
    yield Command("usrloc:rm", (_TABLE,), commands.rm, "removes an address and its contacts", ("ul_rm",))
    yield Command(
        "usrloc:rm_contact",
        ((*_TABLE, "contact"),),
        commands.rm_contact,
        "removes a contact of an address",
        ("ul_rm_contact",),
    )
    yield Command(
        "usrloc:dump",
        ((), ("brief",), ("index", "counter"), ("brief", "index", "counter")),
        commands.dump,
        "lists addresses with their contacts, a page at a time",
        ("ul_dump",),
    )
    yield Command("usrloc:flush", ((),), commands.flush, "writes the changes to the store now", ("ul_flush",))
    yield Command(
        "usrloc:add",
        (
            (*_TABLE, "contact", "expires"),
            (*_TABLE, "contact", "expires", "q", "flags", "cflags", "methods"),
        ),
        commands.add,
        "adds a contact to an address, or registers it again",
        ("ul_add",),
    )
    yield Command(
        "usrloc:show_contact", (_TABLE,), commands.show, "lists the contacts of an address", ("ul_show_contact",)
    )
    yield Command(
        "usrloc:sync",
        (("table_name",), _TABLE),
        commands.sync,
        "has the store forget a table, or an address, and writes what is in memory",
        ("ul_sync",),
    )
    yield Command("usrloc:counters", ((),), commands.counters, "counts addresses, contacts, and what the store lacks")


class _Commands:
    def __init__(self, service: LocationService) -> None:
        self._service = service

    def rm(self, params: Mapping[str, Any]) -> str:
        domain = self._domain(params)
        if not self._service.delete(text_param(params, "aor"), domain=domain):
            raise CommandError(404, "AOR not found")
        return "OK"

    def rm_contact(self, params: Mapping[str, Any]) -> str:
        domain = self._domain(params)
        aor, uri = text_param(params, "aor"), text_param(params, "contact")
        if not self._service.lookup(aor, domain=domain):
            raise CommandError(404, "AOR not found")
        if not self._service.delete_contact(aor, uri, domain=domain):
            raise CommandError(404, "Contact not found")
        return "OK"

    def show(self, params: Mapping[str, Any]) -> dict[str, Any]:
        domain = self._domain(params)
        contacts = self._service.lookup(text_param(params, "aor"), domain=domain)
        if not contacts:
            raise CommandError(404, "AOR not found")
        return {"AOR": contacts[0].aor, "Contacts": [self._listed(contact) for contact in contacts]}

    def add(self, params: Mapping[str, Any]) -> str:
        domain = self._domain(params)
        expires_s = int_param(params, "expires")
        if expires_s < 0:
            raise invalid_params("Negative expires value")
        masks: dict[str, Any] = {}
        for name, field in (("flags", "flags"), ("cflags", "bflags"), ("methods", "methods")):
            if name in params:
                masks[field] = int_param(params, name) & 0xFFFFFFFF
        aor, uri = text_param(params, "aor"), text_param(params, "contact")
        known = self._service.lookup(aor, domain=domain)
        callid = next((contact.callid for contact in known if contact.uri == uri), CALL_ID)
        try:
            registration = attrs.evolve(Registration(uri, expires_s or None, _priority(params)), **masks)
            self._service.save(aor, [registration], callid=callid, domain=domain)
        except ValueError as error:
            raise CommandError(400, "Bad parameter value", str(error)) from None
        return "OK"

    def dump(self, params: Mapping[str, Any]) -> dict[str, Any]:
        if "brief" in params and text_param(params, "brief") != "brief":
            raise invalid_params("Bad value for parameter 'brief'")
        index = counter = 0
        if "index" in params:
            index, counter = int_param(params, "index"), int_param(params, "counter")
            if index < 0 or counter < 0:
                raise invalid_params("Negative index or counter value")
        return self._dumped(index, counter, brief="brief" in params)

    def _dumped(self, index: int, counter: int, *, brief: bool) -> dict[str, Any]:
        most = self._service.options.dump_limit
        room = min(counter, most) if counter else most
        end = index + room
        domains = []
        total = 0
        for table in self._service.tables:
            page = list(table.page(max(0, index - total), room)) if index < total + table.users else []
            room -= len(page)
            total += table.users
            domains.append({"name": table.name, "AORs": Listing(page, partial(self._address, brief=brief))})
        answer: dict[str, Any] = {"count": total, "Domains": domains}
        return answer if end >= total else answer | {"next": end}

    def _address(self, record: Iterable[Any], *, brief: bool) -> dict[str, Any]:
        contacts = [Contact(*binding) for binding in record]
        listed = [contact.uri for contact in contacts] if brief else [*map(self._listed, contacts)]
        return {"AOR": contacts[0].aor, "Contacts": listed}

    def flush(self, _: Mapping[str, Any]) -> str:
        self._service.flush()  # without a store there is nothing to write
        return "OK"

    def sync(self, params: Mapping[str, Any]) -> str:
        domain = self._domain(params)
        aor = text_param(params, "aor") if "aor" in params else None
        try:
            has_store = self._service.sync(aor, domain=domain)
        except ValueError as error:
            raise CommandError(400, "Bad parameter value", str(error)) from None
        if not has_store:
            raise CommandError(400, "No database")
        return "OK"

    def counters(self, _: Mapping[str, Any]) -> dict[str, Any]:
        return self._service.counters()

    def _domain(self, params: Mapping[str, Any]) -> str:
        domain = text_param(params, "table_name")
        if all(table.name != domain for table in self._service.tables):
            raise CommandError(404, "Table not found")
        return domain

    def _listed(self, contact: Contact) -> dict[str, Any]:
        left = contact.remaining_s(self._service.now())
        listed = {
            "Contact": contact.uri,
            "Expires": "permanent" if left is None else math.ceil(left) or "expired",
            "Q": "" if contact.qval < 0 else f"{contact.qval / 1000:g}",
            "Callid": contact.callid,
            "Cseq": contact.cseq,
            "User-agent": contact.user_agent,
            "Received": contact.received,
            "Path": contact.path,
            "Flags": contact.flags,
            "Cflags": contact.bflags,
            "Socket": contact.socket,
            "Methods": contact.methods,
            "Attr": contact.attr,
            "Latency": contact.latency,
        }
        return {name: value for name, value in listed.items() if value is not None and value != ""}


def _priority(params: Mapping[str, Any]) -> float | None:
    """Return the parameter q, which is text or a number; None when it is not there, or empty."""
    value = params.get("q", "")
    if value == "":
        return None
    if isinstance(value, str | int | float) and not isinstance(value, bool):
        with suppress(ValueError):
            return float(value)
    raise invalid_params("Bad type for parameter 'q'")
