"""The environments of tox that no list names: one for each distribution in the folder plugins."""

from collections.abc import Iterable
from pathlib import Path

from tox.plugin import impl


@impl
def tox_extend_envs() -> Iterable[str]:
    """Return the names of the distributions, which `[testenv]` tests, each with the core and what it needs."""
    folders = sorted((Path(__file__).parent / "plugins").glob("*/pyproject.toml"))
    return [path.parent.name.removeprefix("evframe-") for path in folders]
