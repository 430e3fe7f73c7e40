"""The sockets of the transport: a policy and its members."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from itertools import chain
from operator import itemgetter
from typing import Final

import attrs

from evframe.plugin import Address, endpoints_of, shown_socket

POLICIES: Final = ("PARALLEL", "FAILOVER", "ROUND-ROBIN")
FORM: Final = "expected virtual:POLICY member …, with PARALLEL, FAILOVER or ROUND-ROBIN"
_QUOTED: Final = re.compile(r'"((?:[^"\\]|\\.)*)"')
_WORD: Final = re.compile(r"[^ \t]+")
_MOST_NESTED: Final = 8

Token = tuple[str, str]  # "(", ")" or "member", and its text


@attrs.frozen(slots=True)
class VirtualSocket:
    """``virtual:POLICY member …``; the members are sockets of any transport."""

    policy: str
    members: tuple[Address, ...] = attrs.field(eq=False)
    canonical: str
    """With PARALLEL, the members are sorted: in any order they are the same subscriber."""
    shown: str = attrs.field(eq=False)
    """The members in the order in which they were given."""
    sorted_members: tuple[Address, ...] = attrs.field(repr=False)

    @property
    def expires(self) -> bool:
        """A lease may end; the members have none."""
        return True

    @property
    def endpoints(self) -> tuple[tuple[str, int], ...]:
        """Those of the members."""
        return tuple(chain.from_iterable(endpoints_of(member.socket) for member in self.members))


class SocketParser:
    """Parses what follows ``virtual:``.

    A member with blanks stands between quotation marks; a policy with its members between
    parentheses is a member too.

    Args:
        address_of: returns the address of a member's text, or raises ValueError.
        address_of_group: returns the address of a policy between parentheses.
    """

    def __init__(
        self, address_of: Callable[[str], Address], address_of_group: Callable[[VirtualSocket], Address]
    ) -> None:
        self._address_of = address_of
        self._address_of_group = address_of_group

    def parse(self, rest: str) -> VirtualSocket:
        """Return the socket.

        Raises:
            ValueError: if the text or one of the members does not fit.
        """
        tokens = _tokens(rest)[::-1]
        socket = self._group(tokens, _MOST_NESTED)
        if tokens:
            raise ValueError(f"{FORM}, got a surplus {tokens[-1][1]!r}")
        return socket

    def _group(self, tokens: list[Token], levels: int) -> VirtualSocket:
        if not levels:
            raise ValueError(f"expected at most {_MOST_NESTED} policies inside each other")
        policy = _take_policy(tokens)
        members: list[tuple[str, str, Address]] = []  # each with its canonical text, and that for listings
        while tokens and tokens[-1][0] != ")":
            kind, text = tokens.pop()
            if kind == "(":
                inner = self._group(tokens, levels - 1)
                if not tokens:
                    raise ValueError("expected a closing parenthesis")
                tokens.pop()
                members.append((_bracketed(inner.canonical), _bracketed(inner.shown), self._address_of_group(inner)))
            else:
                address = self._address_of(text)
                members.append((_quoted(address.socket.canonical), _quoted(shown_socket(address.socket)), address))
        if not members:
            raise ValueError(f"{FORM}, got no member")
        _, given, addresses = zip(*members, strict=True)
        ordered = sorted(members, key=itemgetter(0)) if policy == "PARALLEL" else members
        canonical, _, compared = zip(*ordered, strict=True)
        return VirtualSocket(policy, addresses, _text(policy, canonical), _text(policy, given), compared)


def _bracketed(text: str) -> str:
    return f"({text.partition(':')[2]})"


def _text(policy: str, members: Iterable[str]) -> str:
    return f"virtual:{policy} {' '.join(members)}"


def _take_policy(tokens: list[Token]) -> str:
    kind, text = tokens.pop() if tokens else ("", "")
    for policy in POLICIES:
        if kind == "member" and text.startswith(policy):
            if text != policy:
                tokens.append(("member", text[len(policy) :]))  # the original wants no blank there
            return policy
    raise ValueError(f"{FORM}, got {text!r}")


def _tokens(text: str) -> list[Token]:
    found: list[Token] = []
    position = level = 0
    while position < len(text):
        if text[position] in " \t":
            position += 1
        elif text[position] in "()":
            level += 1 if text[position] == "(" else -1
            found.append((text[position], text[position]))
            position += 1
        elif text[position] == '"':
            quoted = _QUOTED.match(text, position)
            if quoted is None:
                raise ValueError(f"expected a closing quotation mark, got {text[position:]!r}")
            found.append(("member", re.sub(r"\\(.)", r"\1", quoted[1])))
            position = quoted.end()
        else:
            word = _WORD.match(text, position)
            assert word is not None
            member = word[0]
            # Within parentheses those that close more than the member opens are not the member's.
            while level and member.endswith(")") and member.count(")") > member.count("("):
                member = member[:-1]
            found.append(("member", member))
            position += len(member)
    return found


def _quoted(text: str) -> str:
    if not re.search(r'[ \t"]|^[()]|[()]$', text):
        return text
    escaped = re.sub(r'(["\\])', r"\\\1", text)
    return f'"{escaped}"'
