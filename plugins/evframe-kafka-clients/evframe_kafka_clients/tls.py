"""What properties say of TLS, made into a context."""

from __future__ import annotations

import os
import ssl
from collections.abc import Mapping
from typing import Any, Final

from evframe_wire.tls import client_context

FILES: Final = ("ca", "certificate", "key")
"""The options that are files."""
_OF_TLS: Final = (*FILES, "key_password", "ca_pem", "ciphers", "identification", "verification")


def check_ciphers(text: str) -> str:
    """Return a list of ciphers.

    Raises:
        ValueError: if OpenSSL has none of them.
    """
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).set_ciphers(text)
    except ssl.SSLError:
        raise ValueError("expected ciphers that OpenSSL has") from None
    return text


def with_tls(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return *options* with the files of TLS made into a context.

    Raises:
        OSError: if a file cannot be read.
    """
    made = {name: value for name, value in options.items() if name not in _OF_TLS}
    if made.get("security_protocol", "PLAINTEXT").endswith("SSL"):
        made["ssl_context"] = _context(options)
    return made


def _context(options: Mapping[str, Any]) -> ssl.SSLContext:
    ca, verifies = options.get("ca"), options.get("verification", True)
    is_folder = ca is not None and os.path.isdir(ca)
    context = client_context(None if is_folder else ca, capath=ca if is_folder else None, cadata=options.get("ca_pem"))
    if "certificate" in options:
        # With no password at all the library would ask for it at the terminal.
        context.load_cert_chain(options["certificate"], options.get("key"), options.get("key_password", ""))
    if "ciphers" in options:
        context.set_ciphers(options["ciphers"])
    context.check_hostname = verifies and options.get("identification") != "none"
    if not verifies:
        context.verify_mode = ssl.CERT_NONE
    return context
