"""From the values of the parameters of OpenSIPS to those of options here.

Each function takes the value, and what the option has been set to before; ValueError says what was expected.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from typing import Any

Value = int | str
Convert = Callable[[Value, Any], Any]

_BIND = "127.0.0.1:8888"
WORDS = {"yes": 1, "on": 1, "true": 1, "enable": 1, "no": 0, "off": 0, "false": 0, "disable": 0}
"""The words that stand for a number."""


def number(value: Value, _: Any = None) -> int:
    """Take a number."""
    if not isinstance(value, int):
        raise ValueError(f"expected a number, got {value!r}")  # noqa: TRY004 a bad script
    return value


def switch(value: Value, _: Any = None) -> bool:
    """Take a number, of which all but 0 are true, or one of the words for it."""
    return number(WORDS.get(value, value) if isinstance(value, str) else value) != 0


def text(value: Value, _: Any = None) -> str:
    """Take a text."""
    if not isinstance(value, str):
        raise ValueError(f"expected a text, got {value!r}")  # noqa: TRY004 a bad script
    return value


def count(value: Value, _: Any = None) -> int:
    """Take a number, or a text that begins with one."""
    if isinstance(value, int):
        return value
    found = re.match(r"\s*([0-9]{1,18})", value)
    if found is None:
        raise ValueError(f"expected a number, got {value!r}")
    return int(found[1])


def listed(value: Value, before: Any) -> list[str]:
    """Add a text to those before."""
    return [*(before or ()), text(value)]


def mode(value: Value, _: Any = None) -> str:
    """Take octal digits, or a number; 0 stands for 0600."""
    return value if isinstance(value, str) else f"{value or 0o600:o}"


def any_value(value: Value, _: Any = None) -> Value:
    """Take a number or a text as it is."""
    return value.strip() if isinstance(value, str) else value


def url_path(value: Value, _: Any = None) -> str:
    """Take a path of a URL, with the slash at its beginning only."""
    return f"/{text(value).strip('/')}"


def host(value: Value, bind: Any) -> str:
    """Put an address that only this machine reaches into ``host:port``."""
    name = text(value).strip("[]")
    try:
        is_loopback = ipaddress.ip_address(name).is_loopback
    except ValueError:
        is_loopback = name == "localhost"
    if not is_loopback:
        raise ValueError(f"expected a loopback address where there is no token_file, got {value!r}")
    return f"{f'[{name}]' if ':' in name else name}:{str(bind or _BIND).rpartition(':')[2]}"


def port(value: Value, bind: Any) -> str:
    """Put a port into ``host:port``."""
    return f"{str(bind or _BIND).rpartition(':')[0]}:{number(value)}"


def suffix(value: Value, _: Any = None) -> str:
    """Turn text with ``$time(format)`` into a strftime format; other variables are those of a SIP message."""
    parts = re.split(r"\$time\(([^)]*)\)", text(value).replace("$$", "\0"))
    if any("$" in part for part in parts[::2]):
        raise ValueError(f"expected no variable but $time(format), got {value!r}")
    texts = [part if index % 2 else part.replace("%", "%%") for index, part in enumerate(parts)]
    return "".join(texts).replace("\0", "$")
