"""From the queues of ``rabbitmq_consumer`` to tables of connections."""

from __future__ import annotations

import itertools
import re
from typing import Any, Final

from evframe_import_opensips import values
from evframe_import_opensips.document import Document, Entry, value_text
from evframe_import_opensips.findings import Findings
from evframe_import_opensips.tokens import Place

MODULE: Final = "rabbitmq_consumer"
PLUGIN: Final = "rabbitmq-consumer"
_TIMEOUTS: Final = {"connect_timeout": "connect_timeout_ms", "retry_timeout": "retry_timeout_ms"}
_KEYS: Final = ("uri", "queue", "event", "ack", "exclusive", "frame_max", "heartbeat", "tls_domain")
_NAME: Final = re.compile(r"\s*\[([^\]]*)\]")


class Connections:
    """Makes the connections of a document.

    Args:
        document: gets them.
        findings: gets what is left out, and what is different.
    """

    def __init__(self, document: Document, findings: Findings) -> None:
        self._document = document
        self._findings = findings
        self._timeouts: dict[str, Entry] = {}

    @property
    def _entries(self) -> list[Entry]:
        return self._document.tables.setdefault(PLUGIN, {}).setdefault("connections", [])

    def set_parameter(self, place: Place, name: str, given: values.Value) -> bool:
        """Take a parameter of the module; return whether it is one of connections.

        Raises:
            ValueError: if its value is none that can be converted; the text shows no value, which may hold a password.
        """
        if name in _TIMEOUTS:
            if values.number(given) < 1:
                raise ValueError(f"expected 1 or more, got {given!r}")
            self._timeouts[_TIMEOUTS[name]] = Entry(place, {name: given})
        elif name == "connection_id":
            self._add(place, values.text(given))
        return name in _TIMEOUTS or name == "connection_id"

    def finish(self) -> None:
        """Give the timeouts of the module to every connection; they may stand behind it in the script."""
        for option, entry in self._timeouts.items():
            ((name, value),) = entry.values.items()
            if not self._entries:
                self._findings.leave_out(entry.place, f'modparam "{MODULE}" "{name}"', "no connection_id has it")
            for connection in self._entries:
                connection.values[option] = value

    def _unique(self, name: str) -> str:
        """Return *name*, with a number when another connection has it."""
        taken = {entry.values.get("name", entry.values["queue"]) for entry in self._entries}
        numbered = (f"{name}-{number}" for number in itertools.count(2))
        return next(each for each in itertools.chain([name], numbered) if each not in taken)

    def _add(self, place: Place, text: str) -> None:
        value_text(text)
        name = _NAME.match(text)
        given = _parsed(text[name.end() :] if name else text)
        missing = [key for key in ("uri", "queue", "event") if not given.get(key)]
        if missing:
            raise ValueError(f"expected uri=…; queue=…; event=…, got no {missing[0]}")
        connection: dict[str, Any] = {"queue": given["queue"]}
        unique = self._unique((name[1].strip() if name else "") or given["queue"])
        if unique != given["queue"]:
            connection["name"] = unique
        # As in the original, every message is a body, and without `ack` the broker does not wait for an answer.
        connection |= {"uri": given["uri"], "event": given["event"], "events": []}
        connection |= {} if "ack" in given else {"ack": "at_once"}
        connection |= {"exclusive": True} if "exclusive" in given else {}
        if given.get("heartbeat"):
            connection["heartbeat_s"] = values.count(given["heartbeat"])
        self._entries.append(Entry(place, connection))
        self._document.packages.add(PLUGIN)
        for key, reason in (
            ("frame_max", "the broker and the library agree on a size"),
            ("tls_domain", "ca_file and cert_file in place of a TLS domain"),
        ):
            if key in given:
                self._findings.leave_out(place, f'modparam "{MODULE}" "connection_id": {key}', reason)


def _parsed(text: str) -> dict[str, str]:
    """Return the values by key; a key is matched by its beginning, whatever its case, as in the original."""
    found: dict[str, str] = {}
    for part in filter(None, map(str.strip, text.split(";"))):
        word, _, value = part.partition("=")
        key = next((key for key in _KEYS if word.strip().lower().startswith(key)), None)
        if key is None:
            raise ValueError(f"expected keys of {', '.join(_KEYS)}, got another one")
        found[key] = value.strip()
    return found
