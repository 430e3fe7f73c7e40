"""The markers of hooks: what a plugin decorates its functions with."""

from __future__ import annotations

import pluggy

hookspec = pluggy.HookspecMarker("evframe")
hookimpl = pluggy.HookimplMarker("evframe")
