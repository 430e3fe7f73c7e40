"""Secrets in URLs, sockets and properties, and the mark in their place."""

from __future__ import annotations

import re
from typing import Final

MASK: Final = "***"
"""What stands in a text for a secret."""
_URL: Final = re.compile(r"(://)(\S+)")  # without its scheme, which a long word would be searched for at each letter
_TAIL: Final = re.compile(r"[?#;]")
_END_OF_AUTHORITY: Final = re.compile(r"[/?#;]")
_NAMES: Final = (
    # Misspelt ones are refused, and hold a password, too.
    *("pas{1,3}w[a-z]{0,8}=", "pass=", "passphrase=", "pwd=", "secret=", "[.]pem="),
    *("token=", "api[-_.]?key=", "access[-_.]?key=", "signature=", "[?&;#]sig=", "credentials?=", "authorization="),
)
_PROPERTY: Final = re.compile(rf"({'|'.join(_NAMES)})[^&;'\s]+", re.IGNORECASE)
_USER: Final = re.compile(r"(?<=:)[^:@\s]*:")
_REFERENCE: Final = re.compile(r"\$\{(?:file|env):[^{}]*\}")
_QUOTED: Final = re.compile(r"(?<=got ')[^']+(?=')")


def without_properties(text: str) -> str:
    """Return *text* with the mark in place of values whose names say that they are secrets, as in ``token=…``."""
    return _PROPERTY.sub(rf"\1{MASK}", text)


def tails(text: str) -> list[str]:
    """Return what follows the path in each URL of *text*: the query, the fragment and parameters."""
    found = (_TAIL.search(url[2]) for url in _URL.finditer(text))
    return [each.string[each.end() :] for each in found if each is not None and each.string[each.end() :]]


def without_secrets(text: str) -> str:
    """Return *text* with marks in the URLs in it.

    They stand for a password, a user without one, which may be a token, and what follows the path: the query,
    the fragment and parameters.
    """
    return _URL.sub(lambda url: url[1] + _without_tail(_without_password(url[2])), text)


def _without_password(rest: str) -> str:
    # A password may have a slash, so that the last @ decides.
    credentials, at, place = rest.rpartition("@")
    user, colon, password = credentials.partition(":")
    if not at or _END_OF_AUTHORITY.search(user):
        return rest  # the @ is in the path, or behind it
    if _REFERENCE.fullmatch(password):
        return rest
    return f"{user}:{MASK}@{place}" if colon else f"{MASK}@{place}"


def _without_tail(rest: str) -> str:
    tail = _TAIL.search(rest)
    return rest if tail is None or tail.end() == len(rest) else rest[: tail.end()] + MASK


def masked_socket(socket: str, problem: str) -> tuple[str, str]:
    """Return the text of a socket, and of a problem that quotes parts of it, with marks in place of secrets."""
    password = _password(socket)
    if password:
        socket = socket.replace(f":{password}@", f":{MASK}@")
        problem = problem.replace(f"{password}@", f"{MASK}@")
    behind = tails(socket)
    problem = _QUOTED.sub(lambda got: _hidden(got[0], password, behind), problem)
    return without_properties(without_secrets(socket)), without_properties(problem)


def masked_error(socket: str, text: str) -> str:
    """Return the text of an error about *socket*, with marks in place of the secrets of the socket and in URLs."""
    for part in socket.split():  # the members of a combined socket
        for secret in (_password(part), *tails(part)):
            text = text.replace(secret, MASK) if secret else text
    return without_properties(without_secrets(text))


def _password(socket: str) -> str:
    """Return the text between the user's name and the last ``@``."""
    before, _, _ = socket.rpartition("@")
    user = _USER.search(before)
    password = before[user.end() :] if user is not None else ""
    return "" if _REFERENCE.fullmatch(password) else password


def _hidden(text: str, password: str, behind: list[str]) -> str:
    """Return the part *text* of a socket without *password*, and without the texts *behind* its paths."""
    if any(text in secret for secret in (password, *behind)):
        return MASK
    for secret in behind:
        text = text.replace(secret, MASK)
    return text
