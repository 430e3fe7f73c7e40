"""Records of the leases topic: what a key and a value say, or why they are none of a fleet."""

from __future__ import annotations

from typing import Any, Final

from evframe_shards.leases import END_OF_TIME
from evframe_wire.keys import canonical_of
from orjson import dumps, loads

OTHER: Final = '["other"]'
"""The key of a record that concerns another events topic."""
_OF_TOPIC: Final = ('["owner"', '["front"', '["behind"')
_MOST: Final = 1 << 53


class RecordError(ValueError):
    """Raised when a record is not one that a gateway writes."""


def key_of(*names: str | int) -> str:
    """Return the key of a record."""
    return dumps(names).decode()


def names_of(key: str) -> list[Any]:
    """Return what `key_of` has made a key of."""
    names: list[Any] = loads(key)
    return names


def written_key(key: str, topic: str) -> str:
    """Return the key of a record as the leases topic has it: what is of a partition names the events topic, too.

    Positions in one topic say nothing about another one, which the fleet may get in its place.
    """
    return f"{topic} {key}" if key.startswith(_OF_TOPIC) else key


def read_key(key: str, topic: str) -> str:
    """Return the key that `written_key` has made *key* of, or `OTHER` for one of another events topic."""
    of, is_named, rest = key.partition(" ")
    if not is_named or of.startswith("[") or not rest.startswith(_OF_TOPIC):
        return key
    return rest if of == topic else OTHER


def checked_names(key: str, partitions: int) -> list[Any]:
    """Return the names in a key that was read: the kind first.

    Args:
        key: of the record.
        partitions: how many partitions the events topic has.

    Raises:
        RecordError: if no gateway with that many partitions has such a key.
    """
    try:
        names = loads(key)
        kind, *others = names
        right = {
            "other": [],
            "lease": [str, str],
            "member": [str],
            "owner": [int],
            "front": [int],
            "behind": [int, str],
        }[kind]
        if [type(each) for each in others] != right or key != key_of(*names):
            raise RecordError("expected the key of a record of the fleet")
        if int in right and not 0 <= others[0] < partitions:
            raise RecordError(f"expected a partition below {partitions}, got {others[0]}")
        if str in right:
            canonical_of(others[-1])
    except (TypeError, ValueError, KeyError) as error:
        raise RecordError(str(error)) from None
    return list(names)


def checked_value(kind: str, value: bytes | None) -> Any:
    """Return what a value that was read says; None for a tombstone.

    Raises:
        RecordError: if no gateway writes such a value for a key of *kind*.
    """
    if value is None:
        return None
    try:
        record = loads(value)
        if not isinstance(record, dict):
            raise RecordError("expected a JSON object")
        _CHECKS[kind](record)
    except (TypeError, ValueError, KeyError) as error:
        raise RecordError(f"expected the value of a record of the fleet: {error!r}") from None
    return record


def _check_lease(record: dict[str, Any]) -> None:
    if "e" in record:
        if record["e"] is not None:
            _check_version(record["e"])
        _check_time(record.get("at", 0))
        return
    _check_version(record["v"])
    _check_version(record.get("again", record["v"]))
    _check_time(record["at"])


def _check_position(record: dict[str, Any]) -> None:
    _check_owner(record)
    if record["at"] is not None:
        _check_number(record["at"])


def _check_owner(record: dict[str, Any]) -> None:
    epoch, name = record["o"]
    _check_version((name, epoch))


def _check_version(version: Any) -> None:
    writer, number = version
    if type(writer) is not str:
        raise RecordError("expected the name of a gateway")
    _check_number(number)


def _check_number(number: Any) -> None:
    if type(number) is not int or not 0 <= number < _MOST << 10:
        raise RecordError(f"expected a number, got {number!r}")


def _check_time(at: Any) -> None:
    if not isinstance(at, int | float) or not 0 <= at < END_OF_TIME:
        raise RecordError(f"expected a time, got {at!r}")


_CHECKS: Final = {
    "lease": _check_lease,
    "member": lambda record: _check_time(record["at"]),
    "owner": _check_owner,
    "front": _check_position,
    "behind": _check_position,
}
