"""The journal of evframe: events that wait on disk, for subscribers that are kept."""

from evframe_journal.options import Options
from evframe_journal.plugin import JournalPlugin

__all__ = ["JournalPlugin", "Options"]
