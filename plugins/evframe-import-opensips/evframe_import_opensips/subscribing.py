"""From calls of ``subscribe_event`` to subscriptions that the configuration holds."""

from __future__ import annotations

import re
from typing import Final

from evframe_import_opensips.document import Document, Entry, value_text
from evframe_import_opensips.findings import Findings
from evframe_import_opensips.modules import SCHEMES
from evframe_import_opensips.older import in_present_form
from evframe_import_opensips.statements import Call

# What may have parameters of the event here: a path, and a routing key, which stands behind the last parameter.
_TEXT: Final = re.compile(r"((?:^|[\s(])flatstore:|(?:^|[\s(])rabbitmq:[^\s/]*/(?:[^\s?]*\?)?)([^\s()]*)")
_BRACE: Final = re.compile(r"\{|%7[Bb]")
_MEMBER: Final = re.compile(r"""(?:^|[\s("])([a-z]+):""")


def _with_literal_braces(socket: str) -> str:
    """Return *socket* with its braces doubled where one would begin a parameter of the event."""
    if socket.startswith("flatstore:"):  # whose path may have blanks
        return socket.replace("{", "{{")
    return _TEXT.sub(lambda found: found[1] + _BRACE.sub(lambda brace: 2 * brace[0], found[2]), socket)


class Subscriptions:
    """Makes the subscriptions of a document.

    Args:
        document: gets them.
        findings: gets what is left out, and what is different.
    """

    def __init__(self, document: Document, findings: Findings) -> None:
        self._document = document
        self._findings = findings
        self._known: dict[tuple[str, str], Entry] = {}

    def add(self, event: str, call: Call) -> None:
        """Add what *call* subscribes to *event*."""
        what = f'subscribe_event "{event}"'
        socket = call.arguments[1] if len(call.arguments) in {2, 3} else None
        try:
            if not isinstance(socket, str):
                raise ValueError("expected a socket, not what computes it")  # noqa: TRY004 a bad script
            value_text(socket)
        except ValueError as error:
            self._findings.leave_out(call.place, what, str(error))
            return
        socket, changes = in_present_form(socket)
        for change in changes:
            self._findings.note(call.place, what, change)
        literal = _with_literal_braces(socket)
        if literal != socket:
            self._findings.note(call.place, what, "a brace is doubled; a single one begins a parameter of the event")
            socket = literal
        expire_s = self._expire_s(what, call)
        before = self._known.get((event, socket))
        if before is not None:
            if not expire_s:
                before.values.pop("expire_s", None)
            self._findings.note(call.place, what, f"the same subscription as in {before.place}")
            return
        entry = self._known[event, socket] = Entry(call.place, {"event": event, "socket": socket})
        if expire_s:
            entry.values["expire_s"] = expire_s
        self._document.subscriptions.append(entry)
        entry.refused = self._need(socket)
        if entry.refused is not None:
            self._findings.leave_out(entry.place, what, entry.refused)

    def _expire_s(self, what: str, call: Call) -> int:
        """Return the seconds of a lease, 0 for one without an end; say where that is another one than before."""
        expire = call.arguments[2] if len(call.arguments) == 3 else 0
        if isinstance(expire, str) and expire.isdecimal():
            expire = int(expire[:18])
        if call.route is not None and call.route.kind != "startup_route":
            self._findings.note(call.place, what, f"made in {call.route}; here from the start on, and without an end")
            return 0
        if call.conditional:
            self._findings.note(call.place, what, "made under a condition; here always")
        if not isinstance(expire, int) or expire < 0:
            self._findings.note(call.place, what, "expected the seconds of its lease; here without an end")
            return 0
        return expire

    def _need(self, socket: str) -> str | None:
        """Record the packages that a socket needs; return why there is none."""
        scheme = socket.partition(":")[0]
        if scheme not in SCHEMES:
            hints = {"route": "name a Python callable in [routes]", "jsonrpc": "expected jsonrpc:host:port:method"}
            return hints.get(scheme, f"no plugin has the scheme {scheme!r}")
        members = _MEMBER.findall(socket) if scheme == "virtual" else []
        self._document.packages.update(SCHEMES[each] for each in (scheme, *members) if each in SCHEMES)
        return None
