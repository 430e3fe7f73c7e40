"""The policy that a client requests with a subscription, in parameters by name."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

import attrs

from evframe.plugin import CLIENT_KEYS, Policy

POLICY_KEYS: Final = frozenset(field.name for field in attrs.fields(Policy))
"""What a policy may have; a client that sets something else than it may gets an error that says so."""
_WHOLE: Final = frozenset({"burst"})
_NUMBERS: Final = frozenset({"sample", "max_age_s", "rate", "dedup_s"})


def requested_policy(params: Mapping[str, Any]) -> Policy:
    """Return the policy in the parameters of a request.

    Raises:
        ValueError: if a value does not fit, or a client may not set it; it begins with the key.
    """
    given = {key: _read(key, params[key]) for key in params if key in POLICY_KEYS}
    for key in given:
        if key not in CLIENT_KEYS:
            known = ", ".join(sorted(CLIENT_KEYS))
            raise ValueError(f"{key}: expected it in the configuration, a client may set {known}")
    return Policy.read(given)


def _read(key: str, value: Any) -> Any:
    """Return a value that has come as text as the number or the list that it stands for, as `expire` is taken."""
    if isinstance(value, str):
        with suppress(ValueError):
            if key in _WHOLE:
                return int(value)
            if key in _NUMBERS:
                return float(value)
        if key == "only":
            return [name.strip() for name in value.split(",")]
    return value
