"""The resolver of host names that all plugins share."""

from __future__ import annotations

import evframe_resolver

from evframe.exceptions import Unavailable


class Resolver(evframe_resolver.Resolver):
    """Looks host names up; a name without an address that may be used is `Unavailable`."""

    error = Unavailable
