"""The options of the transport: the table ``[plugins.flatstore]``."""

from __future__ import annotations

import re
from typing import Any, Final

import attrs
from evframe_options import LARGEST, matching, within

from evframe_flatstore.dates import zone_of
from evframe_flatstore.names import Template

_SIZE: Final = re.compile(r"([0-9]{1,30})([kmg]?)", re.IGNORECASE)
_UNITS: Final = {"": 1, "k": 1024, "m": 1024**2, "g": 1024**3}


def _delimiter(_: Any, attribute: attrs.Attribute[Any], value: str) -> None:
    if any(character in value for character in "\n\r\0"):
        raise ValueError(f"{attribute.name}: expected text without a newline, CR or NUL, got {value!r}")


def _escape(options: Options, attribute: attrs.Attribute[Any], value: str | None) -> None:
    if value is None:
        return
    _delimiter(options, attribute, value)
    size = len(options.delimiter.encode())
    if len(value.encode()) != size or value == options.delimiter:
        raise ValueError(f"{attribute.name}: expected another text of {size} bytes like the delimiter, got {value!r}")


def _bytes(size: int | str) -> int:
    if isinstance(size, int):
        return size
    found = _SIZE.fullmatch(size)
    assert found is not None
    return int(found[1]) * _UNITS[found[2].lower()]


def _size(_: Any, attribute: attrs.Attribute[Any], value: int | str) -> None:
    fits = value >= 0 if isinstance(value, int) else _SIZE.fullmatch(value) is not None
    if not fits or _bytes(value) > LARGEST:
        raise ValueError(f"{attribute.name}: expected bytes such as 1048576 or '1m' (k, m or g), got {value!r}")


def _suffix(_: Any, attribute: attrs.Attribute[Any], value: str | None) -> None:
    if value is not None and "\0" in value:
        raise ValueError(f"{attribute.name}: expected a strftime format without NUL, got {value!r}")


def _zone(_: Any, attribute: attrs.Attribute[Any], value: str | None) -> None:
    try:
        zone_of(value)
    except ValueError as error:
        raise ValueError(f"{attribute.name}: {error}") from None


def _header(_: Any, attribute: attrs.Attribute[Any], value: bool | str) -> None:  # noqa: FBT001 a validator's shape
    if isinstance(value, str) and (not value or any(character in value for character in "\n\r\0")):
        raise ValueError(f"{attribute.name}: expected true, or text without a newline, CR or NUL, got {value!r}")


def _needs_dates(options: Options, attribute: attrs.Attribute[Any], value: int) -> None:
    if value:
        try:
            Template(options.suffix or "")
        except ValueError as error:
            raise ValueError(f"{attribute.name}: {error}") from None


@attrs.frozen
class Options:
    """How lines are written and when files rotate; 0 turns a rotation off."""

    max_open_sockets: int = attrs.field(default=100, validator=within(1, 65535))
    """The number of distinct files."""
    max_open_files: int = attrs.field(default=100, validator=within(1, 65535))
    """How many files of one socket with parameters in its path are open at once; the one without lines for the longest
    time is closed."""
    delimiter: str = attrs.field(default=",", validator=_delimiter)
    """What stands between two columns."""
    escape_delimiter: str | None = attrs.field(default=None, validator=_escape)
    """What replaces a delimiter within a value: as long as the delimiter; a space without it."""
    file_permissions: str = attrs.field(
        default="644", validator=matching("[0-7]{1,4}", "an octal number such as '644'")
    )
    """The octal mode of new files, before the umask."""
    suppress_event_name: bool = False
    """Leave out the first column, the event's name."""
    rotate_period_s: int = attrs.field(default=0, validator=within(0, 2**31 - 1))
    """Rotate whenever the wall clock of the time zone passes a multiple of so many seconds: 86400 is midnight."""
    rotate_count: int = attrs.field(default=0, validator=within(0, 2**63 - 1))
    """Rotate after so many lines."""
    rotate_size: int | str = attrs.field(default=0, validator=_size)
    """Rotate once the file has so many bytes; a text may end in k, m or g."""
    suffix: str | None = attrs.field(default=None, validator=_suffix)
    """A strftime format, appended to the path whenever a file is opened or rotated."""
    timezone: str | None = attrs.field(default=None, validator=_zone)
    """The time zone of the suffix and of `rotate_period_s`, such as `Europe/Berlin`; left out for the machine's own."""
    header: bool | str = attrs.field(default=False, validator=_header)
    """The first line of a new file: true for the columns of a declared event, or a text."""
    keep_files: int = attrs.field(default=0, validator=[within(0, 2**31 - 1), _needs_dates])
    """How many files before the current one are kept; 0 for all."""
    keep_days: int = attrs.field(default=0, validator=[within(0, 100_000), _needs_dates])
    """For how many days a file is kept after its last line; 0 for ever."""
    compress: bool = attrs.field(default=False, validator=_needs_dates)
    """Compress the files before the current one with gzip."""
    fsync: bool = False
    """Have the disk confirm each batch before its events count as delivered."""
    make_directories: bool = False
    """Create the directory of a file that is missing."""

    @property
    def mode(self) -> int:
        """The permissions as a number."""
        return int(self.file_permissions, 8)

    @property
    def max_bytes(self) -> int:
        """The size that rotates, in bytes; 0 for none."""
        return _bytes(self.rotate_size)
