"""The contract of management interfaces, for the tests of their authors."""

from evframe_mi.testing.contract import ManagementContract
from evframe_mi.testing.requests import management

__all__ = ["ManagementContract", "management"]
