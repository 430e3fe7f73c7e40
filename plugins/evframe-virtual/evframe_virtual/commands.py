"""The management commands: what the members of a subscriber are doing, and which of them get events."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

from evframe import SocketError
from evframe.plugin import Command, CommandError, text_param
from evframe_virtual.group import Candidate, ChoosingGroup, Group

Find = Callable[[str], Group | None]


def member_commands(find: Find) -> Iterator[Command]:
    """Yield the commands; *find* returns the group of a socket's text, or None."""
    yield Command("virtual:members", (("socket",),), partial(_members, find), "shows the state of each member")
    one = (("socket", "member"),)
    yield Command("virtual:disable", one, partial(_disable, find), "gives a member no more events until it is enabled")
    yield Command("virtual:enable", one, partial(_enable, find), "gives a member events again, and asks it now")


def _group(find: Find, params: Mapping[str, Any]) -> Group:
    try:
        group = find(text_param(params, "socket"))
    except SocketError:
        group = None
    if group is None:
        raise CommandError(404, "Subscriber does not exist")
    return group


def _member(find: Find, params: Mapping[str, Any]) -> tuple[ChoosingGroup, Candidate]:
    canonical = text_param(params, "member")
    group = _group(find, params)
    if not isinstance(group, ChoosingGroup):
        raise CommandError(400, "Bad parameter value", "every member of PARALLEL gets every event")
    candidate = group.find(canonical)
    if candidate is None:
        raise CommandError(404, "Member does not exist")
    return group, candidate


def _members(find: Find, params: Mapping[str, Any]) -> dict[str, Any]:
    return {"Members": _group(find, params).describe()}


def _disable(find: Find, params: Mapping[str, Any]) -> str:
    _, candidate = _member(find, params)
    candidate.disable()
    return "OK"


def _enable(find: Find, params: Mapping[str, Any]) -> str:
    group, candidate = _member(find, params)
    group.enable(candidate)
    return "OK"
