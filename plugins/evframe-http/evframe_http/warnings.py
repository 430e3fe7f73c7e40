"""Warnings of a server that anybody may cause: each is one line in ten seconds."""

from __future__ import annotations

import logging

from evframe.plugin import LogLimiter


class Warnings:
    """Logs warnings, each sentence at most once every ten seconds.

    Args:
        log: of the plugin.
    """

    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        self._limiter = LogLimiter()

    def warn(self, sentence: str, **extra: object) -> None:
        """Log *sentence* with the keys *extra*, unless it was logged a moment ago."""
        repeated = self._limiter.due(sentence)
        if repeated is not None:
            self._log.warning(sentence, extra={**extra, "repeated": repeated})
