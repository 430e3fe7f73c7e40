"""Worker processes: subscribers are divided among them, and the front keeps everything else."""

from evframe_workers.options import Options
from evframe_workers.plugin import WorkersPlugin

__all__ = ["Options", "WorkersPlugin"]
