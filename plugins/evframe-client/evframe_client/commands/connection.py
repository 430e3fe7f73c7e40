"""The gateway that a command of the command line talks to."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import wraps
from types import FrameType
from typing import Any, Final

import attrs
import click

from evframe import Config, ConfigError, load_config
from evframe.command_line import CONFIG_VARIABLE, DEFAULT_CONFIG
from evframe.plugin import ReferenceTemplate as Template
from evframe.plugin import Values
from evframe_client import DEFAULT_URL, Client, ManagementError, url_of
from evframe_client.gateway_leases import listed_events

_COMPLETION_S: Final = 2.0
_FORMS: Final = "http://host:port/mi, https://…, http+unix://%2Fpath/mi, udp:host:port, unix:/path or fifo:/path"
_CONFIG_HELP: Final = f"Configuration of the gateway.  [env var: {CONFIG_VARIABLE}; default: {DEFAULT_CONFIG}]"
_file = click.Path(dir_okay=False)


def connect(url: str | None, config: str | None, token_file: str | None, ca_file: str | None) -> Client:
    """Return a client of *url*, else of the first management interface in the file *config*.

    Without both it is the file of the gateway of this host, if this user can read it.

    The file may have the token too, in the options ``token_file`` or ``token`` of ``[plugins.mi-http]``.

    Raises:
        ValueError: if something in it cannot be used.
        OSError: if a file cannot be read.
    """
    token = None
    if config is None and os.access(DEFAULT_CONFIG, os.R_OK):
        config = DEFAULT_CONFIG
    if url is None and config is not None:
        loaded = _loaded(config)
        tables = {name: table for name, table in loaded.plugins.items() if name not in loaded.disable}
        url = url_of(tables)
        if url.startswith("http"):
            table = tables.get("mi-http", {})
            if token_file is None and "token" in table:
                token = _filled(table["token"])
            token_file = token_file or table.get("token_file")
    return Client(url or DEFAULT_URL, token=token, token_file=token_file, ca_file=ca_file)


def _loaded(config: str) -> Config:
    try:
        return load_config(config)
    except ConfigError as error:
        raise ValueError(f"{error}; --url names the gateway without its configuration") from None


def _filled(token: str) -> str:
    try:
        return Template(token, Values()).filled(None)
    except ValueError as error:
        raise ValueError(f"plugins.mi-http.token: {error}") from None


def on_end(handler: Callable[[int, FrameType | None], object]) -> None:
    """Have *handler* called when the command is ended, by SIGTERM, or by SIGHUP where `nohup` does not ignore it."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, handler)


def with_client(command: Callable[..., None]) -> Callable[..., None]:
    """Give *command* the client of the gateway that the options name, and say what went wrong in one line."""

    @click.option("--url", envvar="EVFRAME_URL", help=f"Management interface of the gateway: {_FORMS}")
    @click.option("-c", "--config", envvar=CONFIG_VARIABLE, type=_file, help=_CONFIG_HELP)
    @click.option("--token-file", envvar="EVFRAME_TOKEN_FILE", type=_file, help="File with the token for HTTP.")
    @click.option("--ca-file", type=_file, help="Certificates to trust for HTTPS.  [default: the system's]")
    @wraps(command)
    def run(
        *, url: str | None, config: str | None, token_file: str | None, ca_file: str | None, **options: Any
    ) -> None:
        on_end(lambda number, _: sys.exit(128 + number))  # what it has made goes with it
        try:
            client = connect(url, config, token_file, ca_file)
        except (OSError, ValueError) as error:
            raise click.ClickException(str(error)) from None
        try:
            command(client=client, **options)
        except BrokenPipeError:
            raise  # the reader of the output has gone, which click knows how to end
        except (ManagementError, OSError) as error:
            raise click.ClickException(str(error)) from None

    return run


def complete_events(context: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """Return the events of the gateway that begin with *incomplete*."""
    with suppress(ManagementError):
        return _beginning(incomplete, listed_events(_ask(context, "events_list")))
    return []


def complete_methods(context: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """Return the management commands of the gateway that begin with *incomplete*."""
    found = _ask(context, "which")
    return _beginning(incomplete, map(str, found)) if isinstance(found, list) else []


def _beginning(incomplete: str, names: Iterable[str]) -> list[str]:
    return [name for name in names if name.startswith(incomplete) and name.isprintable()]


def _ask(context: click.Context, method: str) -> Any:
    options = {name: context.params.get(name) for name in ("url", "config", "token_file", "ca_file")}
    with suppress(ManagementError, OSError, ValueError):
        return attrs.evolve(connect(**options), timeout_s=_COMPLETION_S).call(method)
    return None
