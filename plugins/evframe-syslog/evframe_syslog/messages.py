"""The messages: the header of RFC 5424, the parameters of the event as structured data, and its payload as the text."""

from __future__ import annotations

import json
import os
import re
import time
from datetime import datetime
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Any, Final

from evframe_wire.encoding import encode_value
from evframe_wire.payload import UNSET

from evframe import Batch, Event
from evframe_syslog.options import DELIVERY, FACILITIES, SEVERITIES, Options

_MOST_NAME: Final = 32  # of a MSGID and of a PARAM-NAME
_UNFIT: Final = re.compile(r"[^!-~]")
_UNFIT_PARAMETER: Final = re.compile(r"[^!#-<>-\\^-~]")  # the same without = ] and "
# RFC 5424, 6.3.3: these three alone are escaped. Control characters would break the lines of a receiver's file.
_ESCAPES: Final = str.maketrans(
    {
        **{code: json.dumps(chr(code))[1:-1] for code in (*range(32), *b'"\\')},
        **{code: f"\\u{code:04x}" for code in range(127, 160)},
        "]": "\\]",
    }
)
Head = tuple[bytes, bytes, str]


class MessageFormat:
    """Makes messages as the options say."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._has_data = options.content != "payload"
        self._has_text = options.content != "structured"
        self._delivery = f"{DELIVERY}@{options.sd_id.partition('@')[2]}"
        self._head = lru_cache(maxsize=1024)(self._made_head)

    def messages(self, batch: Batch) -> list[bytes]:
        """Return the message of each event; an empty one for an event that is too large, which fails."""
        began_at = time.time() - time.monotonic()  # the wall clock may have been set since the last batch
        ids = batch.ids
        made = []
        for index, event in enumerate(batch.events):
            message = self._message(event, began_at, None if ids is None else ids[index])
            if len(message) > self._options.max_bytes:
                batch.fail(index, "too_large")
                message = b""
            made.append(message)
        return made

    def _message(self, event: Event, began_at: float, id_: str | None) -> bytes:
        before, after, name = self._head(event.name)
        at = datetime.fromtimestamp(began_at + event.raised_at).astimezone()
        data = self._data(event) if self._has_data else ""
        delivery = [*([("event", name)] if name else ()), *([("id", id_)] if id_ is not None else ())]
        if delivery:
            data += _element(self._delivery, delivery)
        head = b"%b%b%b%b" % (before, at.isoformat(timespec="microseconds").encode(), after, data.encode() or b"-")
        # Without the mark that RFC 5424 puts before UTF-8: RFC 8259 forbids one before JSON, and a payload may have
        # other bytes.
        return b"%b %b" % (head, event.payload) if self._has_text else head

    def _data(self, event: Event) -> str:
        pairs = [
            (_parameter(position if name is None else name), _text(value))
            for position, (name, value) in enumerate(event.pairs, 1)
            if value is not UNSET
        ]
        return _element(self._options.sd_id, pairs) if pairs else ""

    def _made_head(self, event: str) -> Head:
        """Return what stands before and after the time, and the name of *event* if the header cannot have it."""
        options = self._options
        fitting = (name for pattern, name in options.severities.items() if fnmatchcase(event, pattern))
        severity = SEVERITIES.index(next(fitting, options.severity))
        priority = FACILITIES.index(options.facility) * len(SEVERITIES) + severity
        id_ = _UNFIT.sub("_", event)[:_MOST_NAME]
        after = f" {options.own_name} {options.app_name} {os.getpid()} {id_} "
        return b"<%d>1 " % priority, after.encode(), "" if id_ == event else _text(event)


def _element(name: str, pairs: list[tuple[str, str]]) -> str:
    texts = (f' {key}="{text.translate(_ESCAPES)}"' for key, text in pairs)
    return f"[{name}{''.join(texts)}]"


@lru_cache(maxsize=1024)
def _parameter(name: str | int) -> str:
    return _UNFIT_PARAMETER.sub("_", str(name))[:_MOST_NAME] or "_"


def _text(value: Any) -> str:
    """Return a value as text in UTF-8: a text as it is, another value as its JSON."""
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if not isinstance(value, str):
        return encode_value(value).decode(errors="replace")
    if value.isascii():
        return value
    try:  # bytes that are no UTF-8 are surrogates in a text
        return value.encode("utf-8", "surrogateescape").decode(errors="replace")
    except UnicodeEncodeError:
        return value.encode("utf-8", "surrogatepass").decode(errors="replace")
