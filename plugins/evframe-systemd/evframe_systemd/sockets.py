"""The protocol of sd_listen_fds(3): the sockets that systemd has bound for this process."""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Mapping, MutableMapping
from typing import Final

from evframe_wire.handed_over import HeldSocket

log = logging.getLogger("evframe.systemd")
_FIRST: Final = 3
_MOST: Final = 4096
_UNNAMED: Final = "unknown"  # as systemd calls it
_VARIABLES: Final = ("LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES", "LISTEN_PIDFDID")


def handed_over(environment: Mapping[str, str] = os.environ) -> list[HeldSocket]:
    """Return the sockets of ``LISTEN_FDS`` with the names in ``LISTEN_FDNAMES``; what is none of them is logged.

    They are for this process when ``LISTEN_PID`` is its id.
    """
    if environment.get("LISTEN_PID") != str(os.getpid()):
        return []
    text = environment.get("LISTEN_FDS", "")
    count = int(text) if text.isascii() and text.isdecimal() and len(text) < len(str(_MOST)) + 1 else -1
    if not 0 <= count <= _MOST:
        log.warning("no socket is taken over", extra={"expected": f"LISTEN_FDS up to {_MOST}", "got": text})
        return []
    given = environment.get("LISTEN_FDNAMES", "")
    names = given.split(":") if given else []
    if names and len(names) != count:
        log.warning("sockets have no names", extra={"expected": f"{count} in LISTEN_FDNAMES", "got": len(names)})
        names = []
    found = []
    for index in range(count):
        name = names[index] if names else _UNNAMED
        try:
            found.append(HeldSocket.of(name, _FIRST + index))
        except OSError as error:
            problem = error.strerror or str(error)
            extra = {"socket": name, "descriptor": _FIRST + index, "problem": problem}
            log.warning("a socket that was handed over cannot be used", extra=extra)
            if error.errno == errno.EBADF:  # no descriptor with a higher number is one of them
                break
    return found


def keep_from_children(held: list[HeldSocket], environment: MutableMapping[str, str] = os.environ) -> None:
    """Leave the sockets to this process alone: its children inherit neither them nor the variables."""
    for each in held:
        os.set_inheritable(each.descriptor, False)
    if environment.get("LISTEN_PID") == str(os.getpid()):
        for name in _VARIABLES:
            environment.pop(name, None)
