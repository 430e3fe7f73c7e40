"""From ``module:callable`` to the callable."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from functools import reduce
from typing import Any

from evframe.plugin import comes_from_outside


def find_callable(text: str) -> Callable[..., Any]:
    """Return the callable that *text* names.

    Raises:
        ValueError: if the text does not fit, the module cannot be imported, or has no such callable.
    """
    module, colon, path = text.partition(":")
    if not colon or not module or not path:
        raise ValueError(f"expected module:callable, got {text!r}")
    try:
        found = reduce(getattr, path.split("."), importlib.import_module(module))
    except BaseException as error:  # whatever the module raises is a problem of the configuration
        if comes_from_outside(error):
            raise
        raise ValueError(f"expected a module that can be imported, got {text!r}: {error!r}") from None
    if not callable(found):
        raise ValueError(f"expected a callable, got {text!r}, which is {found!r}")  # noqa: TRY004 a bad text
    return found
