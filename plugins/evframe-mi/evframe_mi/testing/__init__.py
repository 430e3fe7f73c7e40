"""The contract of management interfaces, for the tests of their authors."""

from evframe_mi.testing.contract import ManagementContract
from evframe_mi.testing.requests import ANY_SCHEME, management

__all__ = ["ANY_SCHEME", "ManagementContract", "management"]
