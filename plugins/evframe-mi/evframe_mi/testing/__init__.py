"""For the tests of those who write management interfaces: the contract that every one keeps."""

from evframe_mi.testing.contract import ManagementContract
from evframe_mi.testing.requests import management

__all__ = ["ManagementContract", "management"]
