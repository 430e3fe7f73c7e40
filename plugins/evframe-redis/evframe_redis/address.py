"""The sockets of the transport: URLs of Redis, with the stream in the query."""

from __future__ import annotations

import re
from functools import cached_property
from typing import Final

import attrs
from evframe_redis_clients.addresses import FORM as PLACE
from evframe_redis_clients.addresses import Address
from evframe_wire.urls import decoded, encoded

from evframe.plugin import Template, template_of, template_text

FORM: Final = f"expected {PLACE}?stream=name[&maxlen=entries]"
_NUMBER: Final = re.compile(r"[0-9]{1,18}")
_MOST_BYTES: Final = 1024  # of the name of a stream


@attrs.frozen(slots=True)
class RedisSocket:
    """``redis://user:password@host:port/database?stream=name&maxlen=entries``; the password is in no text."""

    address: Address
    stream: str
    """With braces of parameters, and ``{{`` for a brace."""
    maxlen: int | None = None
    template: Template | None = attrs.field(default=None, eq=False, repr=False)

    @property
    def parameters(self) -> tuple[str, ...]:
        """The parameters of the event that the name of the stream has."""
        return () if self.template is None else self.template.parameters

    @cached_property  # every batch needs it
    def canonical(self) -> str:
        """A text that can be parsed again, but for the password."""
        limit = "" if self.maxlen is None else f"&maxlen={self.maxlen}"
        return f"{self.address.shown}?stream={encoded(self.stream, ':{}' if '{' in self.stream else ':')}{limit}"

    @property
    def expires(self) -> bool:
        """A lease may end."""
        return True

    @property
    def endpoints(self) -> tuple[tuple[str, int], ...]:
        """The host and the port."""
        return (self.address.endpoint,)


def parse(scheme: str, rest: str) -> RedisSocket:
    """Return the socket of *rest*.

    Args:
        scheme: ``redis`` or ``rediss``.
        rest: what follows the colon.

    Raises:
        ValueError: if the text does not fit.
    """
    place, mark, query = rest.partition("?")
    if not mark:
        raise ValueError(FORM)
    address = Address.of(f"{scheme}:{place}")
    stream, maxlen = _query(query)
    return RedisSocket(address, stream, maxlen, template_of(stream))


def _query(text: str) -> tuple[str, int | None]:
    """Return the name of the stream and the bound of its length."""
    values: dict[str, str] = {}
    for part in text.split("&"):
        name, equals, value = part.partition("=")
        if name not in {"stream", "maxlen"} or name in values or not equals:
            raise ValueError(f"{FORM}, got another parameter")  # which may be a secret
        values[name] = value
    stream = decoded(template_text(values.get("stream", "")))
    if not 1 <= len(stream.encode("utf-8", "surrogateescape")) <= _MOST_BYTES:
        raise ValueError(f"{FORM} with a stream of 1 to {_MOST_BYTES} bytes")
    maxlen = values.get("maxlen")
    if maxlen is not None and not (_NUMBER.fullmatch(maxlen) and int(maxlen)):
        raise ValueError(f"expected 1 entry or more as maxlen, got {maxlen!r}")
    return stream, None if maxlen is None else int(maxlen)


def stream_of(name: str) -> bytes | None:
    """Return the key of the stream that an event has named; None for one that it cannot have."""
    try:
        key = name.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return None
    return key if 1 <= len(key) <= _MOST_BYTES else None
