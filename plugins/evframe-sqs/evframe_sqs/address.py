"""The sockets of the transport: URLs of queues."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

import attrs
from evframe_wire.addresses import url_host_port, without_brackets

FORM: Final = "expected sqs:https://host[:port]/account/queue, or the name of a queue_url"
FIFO: Final = ".fifo"
_PORTS: Final = {"http": 80, "https": 443}
_URL: Final = re.compile(r"(https?)://([^/?#@]+)((?:/[A-Za-z0-9_-]+)*)/([A-Za-z0-9_-]{1,80}(?:\.fifo)?)")
_MOST_NAME: Final = 80
_NAMED: Final = re.compile(r"\[([A-Za-z0-9_.-]+)\](.*)", re.DOTALL)
_REGIONS: Final = (
    re.compile(r"(?:^|\.)sqs(?:-fips)?\.([a-z]{2,}(?:-[a-z0-9]+)+)\."),
    re.compile(r"^([a-z]{2,}(?:-[a-z0-9]+)+)\.queue\.amazonaws\."),
)
_SERVICE: Final = re.compile(
    r"https://(?:sqs(?:-fips)?\.[a-z0-9-]+\.(?:amazonaws\.com(?:\.cn)?|api\.aws)"
    r"|vpce-[a-z0-9-]+\.sqs\.[a-z0-9-]+\.vpce\.amazonaws\.com(?:\.cn)?"
    r"|(?:[a-z0-9-]+\.)?queue\.amazonaws\.com(?:\.cn)?)"
)


@attrs.frozen(slots=True)
class SqsSocket:
    """``sqs:https://host[:port]/account/queue``."""

    url: str
    """Of the queue."""
    queue: str
    """The name of the queue, which ends with ``.fifo`` where it keeps the order."""
    base: str
    """The URL of the service: scheme, host and port."""
    region: str | None
    """The region that the host names; None where it names none."""
    endpoints: tuple[tuple[str, int], ...]
    """The host, without the brackets of an IPv6 address, and the port."""
    reserved: str | None = attrs.field(default=None, eq=False)
    """What makes the socket one of the configuration alone; None for nothing."""
    canonical: str = attrs.field(init=False, eq=False)
    """The URL; a field, because every batch needs it."""

    @canonical.default
    def _canonical(self) -> str:
        return f"sqs:{self.url}"

    @property
    def expires(self) -> bool:
        """A lease may end."""
        return True

    @property
    def is_of_aws(self) -> bool:
        """Whether the URL is one of the service, encrypted: others of the domain may belong to anybody."""
        return _SERVICE.fullmatch(self.base) is not None

    @property
    def is_fifo(self) -> bool:
        """Whether the queue keeps the order within a group, and drops what comes twice."""
        return self.queue.endswith(FIFO)


def parse(rest: str, named: Mapping[str, str] | None = None) -> SqsSocket:
    """Return the socket of *rest*, the text after ``sqs:``.

    Args:
        rest: the URL of a queue, or a name.
        named: the URLs of queues by their names.

    Raises:
        ValueError: if the text does not fit; it may have a password, so that the text is not in the error.
    """
    url = (named or {}).get(rest, rest)
    found = _URL.fullmatch(url)
    if found is None or len(found[4]) > _MOST_NAME:
        raise ValueError(FORM)
    scheme, authority, path, queue = found.groups()
    host, port = url_host_port(authority, _PORTS[scheme])
    host = host.lower()
    base = f"{scheme}://{host}" if port == _PORTS[scheme] else f"{scheme}://{host}:{port}"
    region = next((match[1] for pattern in _REGIONS if (match := pattern.search(host))), None)
    return SqsSocket(f"{base}{path}/{queue}", queue, base, region, ((without_brackets(host), port),))


def named_url(text: str) -> tuple[str, str]:
    """Return the name and the URL of ``[name]url``.

    Raises:
        ValueError: if the text does not fit.
    """
    found = _NAMED.fullmatch(text)
    if found is None:
        raise ValueError("expected [name]url")
    return found[1], parse(found[2]).url
