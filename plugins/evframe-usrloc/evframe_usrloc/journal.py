"""What has changed since the store was written last."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

import attrs

from evframe_usrloc.contacts import AOR, CALLID, DOMAIN, URI, Binding, pack, unpack_one

_PARTS: Final = 128
_END: Final = "\0"  # which no text has


@attrs.frozen
class Changes:
    """What the store does not have yet: whole addresses that are gone, then contacts, None for one that is gone."""

    gone: set[tuple[str, str]] = attrs.field(factory=set)
    contacts: dict[str, bytes | None] = attrs.field(factory=dict)

    def keys(self) -> Iterator[tuple[str, str, str, str | None]]:
        """Yield domain, address, URI and Call-ID of each contact; the latter is None where it makes no difference."""
        for key in self.contacts:
            domain, aor, uri, *callid = key.split(_END)
            yield domain, aor, uri, callid[0] if callid else None

    def kept(self) -> Iterator[Binding]:
        """Yield the contacts that are not gone."""
        for packed in self.contacts.values():
            if packed is not None:
                yield unpack_one(packed)


class Journal:
    """Keeps the last state of each contact that has changed.

    The changes of an address are together in one of many parts, so that none grows so large
    that to make it or to drop it holds the loop up.

    Args:
        matching_mode: that of the registry.
    """

    def __init__(self, matching_mode: int) -> None:
        self._by_call = matching_mode == 1
        self._parts = [Changes() for _ in range(_PARTS)]
        self._filled: dict[int, None] = {}  # the parts with changes, oldest first
        self.loading = False
        """Whether the store may have contacts that memory does not."""

    def __len__(self) -> int:
        return sum(len(self._parts[number].contacts) for number in self._filled)

    def __bool__(self) -> bool:
        return bool(self._filled)

    def keep(self, binding: Binding) -> None:
        """Record a contact as it is now."""
        self._part(binding[AOR]).contacts[self._of(binding)] = pack(binding)

    def drop(self, binding: Binding) -> None:
        """Record that a contact is gone."""
        self._part(binding[AOR]).contacts[self._of(binding)] = None

    def drop_unread(self, domain: str, aor: str, uri: str | None = None, callid: str | None = None) -> None:
        """Have the store forget a contact, or a whole address, that may not be in memory yet."""
        if not self.loading:
            return
        if uri is None:
            self._part(aor).gone.add((domain, aor))
        else:
            key = (domain, aor, uri) if callid is None or not self._by_call else (domain, aor, uri, callid)
            self._part(aor).contacts.setdefault(_END.join(key), None)

    def renew(self, domain: str, aor: str, bindings: Iterable[Binding]) -> None:
        """Have the store forget an address, and keep the contacts that it has now."""
        self._part(aor).gone.add((domain, aor))
        for binding in bindings:
            self.keep(binding)

    def overrides(self, binding: Binding) -> bool:
        """Return whether a contact that comes from the store has changed since."""
        part = self._parts[hash(binding[AOR]) % _PARTS]
        return (
            self._of(binding) in part.contacts
            or _END.join((binding[DOMAIN], binding[AOR], binding[URI])) in part.contacts
            or (binding[DOMAIN], binding[AOR]) in part.gone
        )

    def take(self, most: int) -> list[Changes]:
        """Return the oldest changes and forget them: all parts, or as many as have *most* contacts together."""
        taken: list[Changes] = []
        count = 0
        while self._filled and count < most:
            number = next(iter(self._filled))
            del self._filled[number]
            taken.append(self._parts[number])
            self._parts[number] = Changes()
            count += len(taken[-1].contacts)
        return taken

    def put_back(self, taken: Iterable[Changes]) -> None:
        """Take back changes that could not be written; what has changed again since stays."""
        for changes in taken:
            for key, packed in changes.contacts.items():
                self._part(key.split(_END)[AOR]).contacts.setdefault(key, packed)
            for domain, aor in changes.gone:
                self._part(aor).gone.add((domain, aor))

    def _part(self, aor: str) -> Changes:
        number = hash(aor) % _PARTS
        self._filled[number] = None
        return self._parts[number]

    def _of(self, binding: Binding) -> str:
        if self._by_call:
            return _END.join((binding[DOMAIN], binding[AOR], binding[URI], binding[CALLID]))
        return _END.join((binding[DOMAIN], binding[AOR], binding[URI]))
