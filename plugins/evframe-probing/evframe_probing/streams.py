"""Probes over TCP and TLS connections, each of which is closed again."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

from evframe.plugin import HostAddress
from evframe_probing.sip import Request, parse_response


@asynccontextmanager
async def connection(
    addresses: Sequence[HostAddress], tls: ssl.SSLContext | None = None, server_name: str | None = None
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Connect to the first address that takes the connection; close it at the end.

    Raises:
        OSError: of the last address, if none does.
    """
    reader, writer = await _open(addresses, tls, server_name)
    try:
        yield reader, writer
    finally:
        writer.transport.abort() if tls is not None else writer.close()
        with suppress(OSError):
            await writer.wait_closed()


async def _open(
    addresses: Sequence[HostAddress], tls: ssl.SSLContext | None, server_name: str | None
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    problem: OSError | None = None
    for address in addresses:
        try:
            return await asyncio.open_connection(
                *address.sockaddr[:2], ssl=tls, server_hostname=None if tls is None else server_name
            )
        except OSError as error:
            problem = error
    raise problem or OSError("expected at least one address")


async def ask(request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> int:
    """Return the code of the final response to a SIP request, which may never come: give it a time limit.

    Raises:
        OSError: if the connection ends before, or something else than SIP arrives.
    """
    writer.write(request.data)
    while True:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
            raise ConnectionResetError("expected a response, got none") from error
        response = parse_response(head)
        if response is not None and response.code >= 200 and response.answers(request):
            return response.code
