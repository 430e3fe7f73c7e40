"""Why there is no answer, in one sentence that names the URL."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager

from evframe.client.protocol import ManagementError
from evframe.client.urls import without_password


@contextmanager
def told(url: str, timeout_s: float) -> Iterator[None]:
    """Have what goes wrong with the gateway at *url* raised as a `ManagementError`."""
    try:
        yield
    except ManagementError:
        raise
    except (OSError, ValueError) as error:
        place = without_password(url)
        if isinstance(error, TimeoutError) and error.errno is None:
            raise ManagementError(f"no answer from {place} within {timeout_s:g} s") from None
        raise ManagementError(f"no answer from {place}: {_problem(error)}") from None


def _problem(error: OSError | ValueError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return f"expected TLS: {(error.reason or str(error)).replace('_', ' ').lower()}"
    return getattr(error, "strerror", None) or str(error)
