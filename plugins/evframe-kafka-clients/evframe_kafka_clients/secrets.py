"""What the library logs, without the password in it."""

from __future__ import annotations

import logging


def _has_no_secret(record: logging.LogRecord) -> bool:
    """Return whether a line is none of the library's about the login: at DEBUG it shows each request as it is."""
    args = record.args if isinstance(record.args, tuple) else (record.args,)
    return not any(type(each).__name__.startswith("SaslAuthenticate") for each in args)


def hide() -> None:
    """Have the library's lines about logins left out."""
    logging.getLogger("aiokafka.conn").addFilter(_has_no_secret)
