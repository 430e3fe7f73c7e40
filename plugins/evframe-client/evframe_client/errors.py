"""Why there is no answer, in one sentence that names the URL."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager

from evframe_client.protocol import ManagementError


@contextmanager
def management_errors(url: str, timeout_s: float) -> Iterator[None]:
    """Raise what fails while the gateway at *url* is asked as a `ManagementError`."""
    try:
        yield
    except ManagementError:
        raise
    except (OSError, ValueError) as error:
        if isinstance(error, TimeoutError) and error.errno is None:
            raise ManagementError(f"no answer from {url} within {timeout_s:g} s") from None
        raise ManagementError(f"no answer from {url}: {_problem(error)}") from None


def _problem(error: OSError | ValueError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return f"expected TLS: {(error.reason or str(error)).replace('_', ' ').lower()}"
    return getattr(error, "strerror", None) or str(error)
