"""The login of the clients of a cluster, and why the cluster cannot be used."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Protocol

from aiokafka.errors import KafkaConnectionError

from evframe import Unavailable
from evframe_kafka_clients.consuming import Value, converted, settings
from evframe_kafka_clients.places import Places
from evframe_kafka_clients.reasons import reason_of
from evframe_kafka_clients.tokens import tokens_of


class Options(Protocol):
    """How a plugin reaches its cluster."""

    @property
    def connect_timeout_ms(self) -> int:
        """How long a token may take."""

    @property
    def password_file(self) -> str | None:
        """A file whose first line is the password of SASL."""

    @property
    def properties(self) -> Mapping[str, Value]:
        """More properties, in the names of librdkafka."""


class Access:
    """The way into a cluster, for one connection after the other.

    Args:
        options: of the plugin.
        places: where the brokers are.
    """

    def __init__(self, options: Options, places: Places) -> None:
        self._options = options
        self._places = places
        self._tokens = tokens_of(converted(options.properties), options.connect_timeout_ms / 1000)

    async def settings(self) -> dict[str, Any]:
        """Return the options of the library for the next connection.

        Raises:
            Unavailable: if no name of a broker resolves.
            OSError: if a file cannot be read.
        """
        servers = await self._places.servers()
        properties = dict(self._options.properties)
        if self._options.password_file is not None:
            with open(self._options.password_file, encoding="utf-8") as file:  # noqa: ASYNC230 a line
                properties["sasl.password"] = file.readline().rstrip("\r\n")
        login = {} if self._tokens is None else {"sasl_oauth_token_provider": self._tokens}
        return {"bootstrap_servers": servers, **login, **settings(properties)}

    def failed(self) -> None:
        """Have another token used for the next connection: the brokers may have refused this one."""
        if self._tokens is not None:
            self._tokens.failed()

    async def reason_of(self, error: BaseException, *, was_used: bool) -> str:
        """Return the word for why the cluster cannot be used.

        Args:
            error: with which a client of the library has ended.
            was_used: whether the connection had worked before.
        """
        problem = None if self._tokens is None else self._tokens.problem
        if problem is None and isinstance(error, KafkaConnectionError | TimeoutError):
            with suppress(Unavailable):  # the next attempt has this reason
                problem = await self._places.connection_problem()
                if not (was_used or isinstance(error, TimeoutError)):
                    # The library does not say that a login or a handshake has failed.
                    problem = problem or "no_metadata"
        return problem or reason_of(error)
