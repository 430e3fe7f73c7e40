"""Waiting between attempts: capped exponential, with jitter."""

from __future__ import annotations

import random

FIRST_S = 0.05
CAP_S = 2.0


def delay_s(attempt: int, cap_s: float = CAP_S) -> float:
    """Return the seconds to wait before attempt number *attempt*, counted from 1; at most *cap_s*."""
    longest = min(cap_s, FIRST_S * 2 ** min(attempt - 1, 16))
    return float(longest * random.uniform(0.5, 1.0))  # noqa: S311 jitter, not a secret
