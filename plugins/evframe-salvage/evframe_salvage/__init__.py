"""SQLite files that are damaged: which errors say so, what can be read, and a new file in the place of one."""

from evframe_salvage.errors import is_damage, may_pass
from evframe_salvage.pages import JOURNALS, Row, Value, rows, set_aside

__all__ = ["JOURNALS", "Row", "Value", "is_damage", "may_pass", "rows", "set_aside"]
