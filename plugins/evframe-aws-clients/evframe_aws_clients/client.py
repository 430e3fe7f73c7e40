"""The client of a service; imported late, with aiobotocore."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, ClassVar, Final

from aiobotocore.config import AioConfig
from aiobotocore.session import AioSession
from botocore import exceptions
from botocore.utils import get_environ_proxies
from evframe_http.requests import CheckedAddresses
from evframe_wire.addresses import connection_problem

from evframe import Unavailable
from evframe.plugin import HostAddress, without_tracebacks
from evframe_aws_clients.answers import Refused
from evframe_aws_clients.options import AwsOptions

_NO_CREDENTIALS: Final = (
    exceptions.NoCredentialsError,
    exceptions.PartialCredentialsError,
    exceptions.CredentialRetrievalError,
    exceptions.InvalidConfigError,
    exceptions.ProfileNotFound,
    exceptions.TokenRetrievalError,
    exceptions.UnauthorizedSSOTokenError,
)
_REASONS: Final[tuple[tuple[Any, str], ...]] = (
    (exceptions.ConnectTimeoutError, "connect_timeout"),
    ((exceptions.ReadTimeoutError, TimeoutError), "timeout"),
    (exceptions.SSLError, "tls"),
    (_NO_CREDENTIALS, "no_credentials"),
    (exceptions.NoRegionError, "no_region"),
)


def loader_of(service: str) -> Any:
    """Return what has read the description of *service*, which takes half a second: not for the loop's thread."""
    session = AioSession()
    session.warm_up_loader_caches(service)
    return session.get_component("data_loader")


def _session(options: AwsOptions, loader: Any) -> AioSession:
    """Return a session that has read its files, and found the credentials; called on a thread, because that waits."""
    session = AioSession(profile=options.profile)
    session.register_component("data_loader", loader)
    assert session.full_config is not None  # it is read
    if options.access_key_id is None and asyncio.run(session.get_credentials()) is None:
        raise exceptions.NoCredentialsError
    return session


class AwsClient:
    """What sends requests to one service, over its connections.

    Args:
        base: the URL of the service.
        host: of that URL, without brackets.
        region: that requests are signed for; None for that of the usual configuration.
        options: of the transport.
    """

    service: ClassVar[str]
    """The name of the service, such as ``sqs``."""
    loader: ClassVar[Any]
    """What `loader_of` returns for it."""

    def __init__(self, base: str, host: str, region: str | None, options: AwsOptions) -> None:
        self._base, self._region, self._options = base, region, options
        self._resolver = CheckedAddresses(host)
        self._client: Any = None
        self._lock = asyncio.Lock()
        self._timeout_s = options.timeout_ms / 1000
        self.is_proxied = bool(get_environ_proxies(base))
        """Whether a proxy of the environment makes the connections, and looks the name up."""

    def use(self, addresses: Sequence[HostAddress]) -> None:
        """Connect to *addresses* from now on."""
        self._resolver.addresses = addresses

    def moved(self, host: str, addresses: Sequence[HostAddress]) -> None:
        """Do nothing: each batch says which addresses are used."""

    async def call(self, name: str, **arguments: Any) -> dict[str, Any]:
        """Send a request, and return the answer.

        Args:
            name: of the operation, as aiobotocore has it, such as ``send_message_batch``.
            arguments: of the operation.

        Raises:
            Refused: if the service answers with an error.
            Unavailable: if there is no answer.
        """
        reason = ""
        try:
            async with asyncio.timeout(self._timeout_s):
                client = await self._opened()
                answer: dict[str, Any] = await getattr(client, name)(**arguments)
                return answer
        except exceptions.ClientError as error:
            code = error.response.get("Error", {}).get("Code", "")
            status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 400)
            refusal = str(code), status
            without_tracebacks(error)
        except (exceptions.BotoCoreError, OSError) as error:  # TimeoutError is an OSError
            refusal = None
            reason = _problem(error)
            if isinstance(error, _NO_CREDENTIALS):
                await self.close()  # it would never look for them again
            without_tracebacks(error)
        except (AttributeError, LookupError, TypeError, ValueError) as error:  # the library reads an answer
            refusal, reason = None, "bad_reply"
            without_tracebacks(error)
        if refusal is not None:  # outside of the handler, because the library keeps its errors in cycles
            raise Refused(*refusal)
        raise Unavailable(reason)

    async def _opened(self) -> Any:
        async with self._lock:
            if self._client is None:
                session = await asyncio.to_thread(_session, self._options, self.loader)
                self._client = await self._creator(session).__aenter__()
            return self._client

    def _creator(self, session: AioSession) -> Any:
        options = self._options
        config = AioConfig(
            connector_args={"resolver": self._resolver, "use_dns_cache": False},
            connect_timeout=options.connect_timeout_ms / 1000,
            read_timeout=self._timeout_s,
            retries={"total_max_attempts": 1},
            max_pool_connections=256,
            parameter_validation=False,
            user_agent_appid="evframe",
        )
        return session.create_client(
            self.service,
            self._region,
            endpoint_url=self._base,
            verify=options.ca_file,
            aws_access_key_id=options.access_key_id,
            aws_secret_access_key=options.secret_access_key,
            aws_session_token=options.session_token,
            config=config,
        )

    async def close(self) -> None:
        """Close the connections; the next request opens others."""
        client, self._client = self._client, None
        if client is not None:
            await client.__aexit__(None, None, None)


def _problem(error: Exception) -> str:
    """Return the word for what went wrong."""
    for kinds, reason in _REASONS:
        if isinstance(error, kinds):
            return reason
    inner = getattr(error, "kwargs", {}).get("error", error)
    system = getattr(inner, "os_error", inner)
    if isinstance(system, OSError):
        return connection_problem(system)
    return "closed" if isinstance(error, exceptions.ConnectionError) else "bad_reply"
