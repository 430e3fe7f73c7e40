"""The command `evframe init`."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from typing import Final

import click

from evframe import hookimpl
from evframe.command_line import CommandLine, say
from evframe_init.document import commented_configuration

_MODE: Final = 0o640  # it may have secrets one day, and the group is that of the service


@hookimpl
def register_cli(commands: CommandLine) -> None:
    """Add the command."""
    commands.add(init)


@click.command()
@click.argument("path", type=click.Path(dir_okay=False), default="evframe.toml")
@click.option("--force", is_flag=True, help="Replace a file that exists.")
@click.option("--print", "is_printed", is_flag=True, help="Print the configuration, and write no file.")
def init(*, path: str, force: bool, is_printed: bool) -> None:
    """Write a commented configuration to PATH, evframe.toml without it.

    It has every option of the plugins that are installed, with its description and its default. What is no comment
    is a gateway that works: a management interface, an event, and a subscription to it. The mode of the file is 640.
    """
    text = commented_configuration()
    if is_printed:
        click.echo(text, nl=False)
        return
    try:
        (_replace if force else _create)(path, text)
    except FileExistsError:
        raise click.ClickException(f"{path} exists already; --force replaces it") from None
    except OSError as error:
        raise click.ClickException(f"{path}: {error.strerror or error}") from None
    say(f"wrote {path}; evframe check -c {path} checks it, evframe run -c {path} runs it")


def _create(path: str, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _MODE)
    try:
        with open(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
    except BaseException:
        os.unlink(path)
        raise


def _replace(path: str, text: str) -> None:
    """Put a whole file in the place of the one at *path*, with the mode and the owner of that."""
    path = os.path.realpath(path)
    try:
        before = os.stat(path)
    except FileNotFoundError:
        _create(path, text)
        return
    descriptor, written = tempfile.mkstemp(dir=os.path.dirname(path), prefix=".evframe-init-")
    try:
        with open(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            with suppress(PermissionError):  # of another user, whose file then becomes that of this one
                os.fchown(file.fileno(), before.st_uid, before.st_gid)
            os.fchmod(file.fileno(), before.st_mode & 0o7777)
        os.replace(written, path)
    except BaseException:
        os.unlink(written)
        raise
