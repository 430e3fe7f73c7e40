"""The properties that say where the tokens of SASL/OAUTHBEARER come from; importing this imports no library."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

MECHANISM: Final = "OAUTHBEARER"
PROPERTIES: Final = {
    "sasl.oauthbearer.method": "oauth_method",
    "sasl.oauthbearer.token.file": "oauth_file",
    "sasl.oauthbearer.token.function": "oauth_function",
    "sasl.oauthbearer.token.endpoint.url": "oauth_url",
    "sasl.oauthbearer.client.id": "oauth_client",
    "sasl.oauthbearer.client.credentials.client.id": "oauth_client",
    "sasl.oauthbearer.client.secret": "oauth_secret",
    "sasl.oauthbearer.client.credentials.client.secret": "oauth_secret",
    "sasl.oauthbearer.scope": "oauth_scope",
    "sasl.oauthbearer.extensions": "oauth_extensions",
    "https.ca.location": "oauth_ca",
}
"""The properties that say where tokens come from; the file and the function are ours, not librdkafka's."""
_SOURCES: Final = {
    "oauth_file": "sasl.oauthbearer.token.file",
    "oauth_function": "sasl.oauthbearer.token.function",
    "oauth_url": "sasl.oauthbearer.token.endpoint.url",
}
_FILES: Final = {
    "ca": "ssl.ca.location",
    "certificate": "ssl.certificate.location",
    "key": "ssl.key.location",
    "oauth_ca": "https.ca.location",
}
_FUNCTION: Final = re.compile(r"\w+(\.\w+)*:\w+(\.\w+)*")
_EXTENSION: Final = re.compile(r"([A-Za-z]+)=([\x20-\x2b\x2d-\x7e]+)")


def check(name: str, value: Any) -> str:
    """Return the value of one of `PROPERTIES`.

    Raises:
        ValueError: if it does not fit.
    """
    if not isinstance(value, str) or not value:
        raise ValueError("expected a text")
    if name == "sasl.oauthbearer.method" and value.casefold() not in {"default", "oidc"}:
        raise ValueError("expected default or oidc")
    if name == _SOURCES["oauth_function"] and not _FUNCTION.fullmatch(value):
        raise ValueError("expected module:function")
    if name == _SOURCES["oauth_url"]:
        _check_url(value)
    if name == "sasl.oauthbearer.extensions":
        extensions_of(value)
    return value


def _check_url(text: str) -> None:
    url = urlsplit(text)
    if url.scheme not in {"http", "https"} or not url.hostname or url.username is not None:
        raise ValueError("expected an http: or https: URL without a password")


def check_login(options: Mapping[str, Any]) -> None:
    """Check that *options* say where the tokens of OAUTHBEARER come from, if it is that.

    Raises:
        ValueError: if they do not, or name more than one place.
    """
    if options.get("sasl_mechanism") != MECHANISM:
        return
    named = [name for option, name in _SOURCES.items() if option in options]
    if len(named) != 1:
        raise ValueError(f"expected one of the properties {', '.join(_SOURCES.values())} with {MECHANISM}, got {named}")
    if "oauth_url" in options and not {"oauth_client", "oauth_secret"} <= options.keys():
        raise ValueError(
            f"expected the properties sasl.oauthbearer.client.id and .client.secret with {_SOURCES['oauth_url']}"
        )


def reserved(options: Mapping[str, Any]) -> str | None:
    """Return the property among *options* that reads or runs something of this machine, or None."""
    return next((name for option, name in (_SOURCES | _FILES).items() if option in options), None)


def without_tokens(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return *options* without those that say where tokens come from."""
    return {name: value for name, value in options.items() if not name.startswith("oauth_")}


def extensions_of(text: str) -> dict[str, str]:
    """Return the names and values of the property of extensions.

    Raises:
        ValueError: if they do not fit.
    """
    found = {}
    for part in text.split(",") if text else ():
        pair = _EXTENSION.fullmatch(part.strip())
        if pair is None or pair[1] == "auth":
            raise ValueError("expected name=value,… with names of letters")
        found[pair[1]] = pair[2]
    return found
