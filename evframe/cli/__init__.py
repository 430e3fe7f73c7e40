"""The command line: the gateway, the check of a configuration, and the commands that distributions add."""

from evframe.cli.commands import main

__all__ = ["main"]
