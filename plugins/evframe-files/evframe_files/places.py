"""Where the files of state are when no option says so."""

from __future__ import annotations

import os
from pathlib import Path


def beside(config_path: str | Path, suffix: str) -> str:
    """Return the file of a gateway: where the service manager keeps state, or else beside the configuration.

    Args:
        config_path: the configuration, whose name without its ending the file has.
        suffix: the ending of the file, without a dot.
    """
    folder = os.environ.get("STATE_DIRECTORY", "").partition(":")[0] or os.path.dirname(config_path)
    name = os.path.splitext(os.path.basename(config_path))[0]
    return os.path.join(folder, f"{name}.{suffix}")
