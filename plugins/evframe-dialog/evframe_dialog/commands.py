"""The management commands of the sessions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from itertools import islice
from typing import Any, Final

from evframe.plugin import Command, CommandError, Listing, int_param, invalid_params, text_param
from evframe_dialog.session import Session
from evframe_dialog.sessions import Sessions

_LISTS: Final = ((), ("callid",), ("callid", "from_tag"), ("index", "counter"))


def dialog_commands(sessions: Sessions, list_limit: int) -> Iterator[Command]:
    """Yield the ``dialog:`` commands, which list at most *list_limit* of anything."""
    commands = _Commands(sessions, list_limit)
    yield Command(
        "dialog:list",
        _LISTS,
        commands.list,
        "lists sessions, a page at a time, or one of them",
        ("dlg_list",),
    )
    yield Command(
        "dialog:list_ctx",
        _LISTS,
        commands.list_context,
        "lists sessions as dialog:list does, with their values and profiles as context",
        ("dlg_list_ctx",),
    )
    yield Command(
        "dialog:end_dlg",
        (("dialog_id",), ("dialog_id", "extra_hdrs")),
        commands.end,
        "ends the session with an id or a Call-ID; its hang_up finds extra_hdrs as extra_headers",
        ("dlg_end_dlg",),
    )
    yield Command(
        "dialog:profile_get_size",
        (("profile",), ("profile", "value")),
        commands.size,
        "counts the sessions of a profile, all of them or those with a value",
        ("profile_get_size",),
    )
    yield Command(
        "dialog:profile_get_values",
        (("profile",),),
        commands.values,
        "counts the sessions of a profile by value",
        ("profile_get_values",),
    )
    yield Command(
        "dialog:profile_list_dlgs",
        (("profile",), ("profile", "value")),
        commands.members,
        "lists sessions of a profile, all of them or those with a value",
        ("profile_list_dlgs",),
    )
    yield Command("dialog:list_all_profiles", ((),), commands.profiles, "lists the profiles", ("list_all_profiles",))
    yield Command("dialog:counters", ((),), commands.counters, "counts the sessions by their states and ends")


class _Commands:
    def __init__(self, sessions: Sessions, list_limit: int) -> None:
        self._sessions = sessions
        self._list_limit = list_limit

    def list(self, params: Mapping[str, Any]) -> dict[str, Any]:
        return self._list(params, self._listed)

    def list_context(self, params: Mapping[str, Any]) -> dict[str, Any]:
        return self._list(params, self._listed_with_context)

    def _list(self, params: Mapping[str, Any], listed: Callable[[Session], dict[str, Any]]) -> dict[str, Any]:
        if "callid" in params:
            tag = text_param(params, "from_tag") if "from_tag" in params else None
            found = self._sessions.find(text_param(params, "callid"), tag)
            if found is None:
                raise CommandError(404, "Dialog not found")
            return {"Dialog": listed(found)}
        index, counter = 0, 0
        if "index" in params:
            index, counter = int_param(params, "index"), int_param(params, "counter")
            if index < 0 or counter < 0:
                raise invalid_params("Negative index or counter value")
        most = min(counter, self._list_limit) if counter else self._list_limit
        page = list(islice(self._sessions, index, index + most))
        return {"count": len(self._sessions), "Dialogs": Listing(page, listed)}

    def end(self, params: Mapping[str, Any]) -> str:
        identity = text_param(params, "dialog_id")
        session = self._sessions.get(identity) or self._sessions.find(identity)
        if session is None or session.has_ended:
            raise CommandError(404, "Dialog not found")
        if "extra_hdrs" in params:
            session.extra_headers = text_param(params, "extra_hdrs")
        self._sessions.terminate(session, "MI Termination")
        return "OK"

    def size(self, params: Mapping[str, Any]) -> dict[str, Any]:
        name, value = self._profile(params)
        count = self._sessions.profiles.size(name, value)
        return {"Profile": {"name": name, "value": value, "count": count}}

    def values(self, params: Mapping[str, Any]) -> dict[str, Any]:
        name, _ = self._profile(params)
        values = self._sessions.profiles.values(name)
        return {"Values": [{"value": value, "count": count} for value, count in self._most(values.items())]}

    def members(self, params: Mapping[str, Any]) -> dict[str, Any]:
        members = self._sessions.profiles.members(*self._profile(params))
        return {"Dialogs": Listing(self._most(members), self._listed)}

    def profiles(self, _: Mapping[str, Any]) -> dict[str, Any]:
        profiles = self._sessions.profiles
        return {"Profiles": [{"name": name, "count": profiles.size(name)} for name in self._most(profiles)]}

    def counters(self, _: Mapping[str, Any]) -> dict[str, Any]:
        return self._sessions.counters()

    def _most(self, things: Iterable[Any]) -> Iterable[Any]:
        return islice(things, self._list_limit)

    def _profile(self, params: Mapping[str, Any]) -> tuple[str, str | None]:
        name = text_param(params, "profile")
        if name not in self._sessions.profiles:
            raise CommandError(404, "Profile not found")
        return name, text_param(params, "value") if "value" in params else None

    def _listed_with_context(self, session: Session) -> dict[str, Any]:
        context = {
            "values": [{"name": name, "value": value} for name, value in session.values.items()],
            "profiles": [{"name": name, "value": value} for name, value in sorted(session.profiles)],
        }
        return {**self._listed(session), "context": context}

    def _listed(self, session: Session) -> dict[str, Any]:
        listed: dict[str, Any] = {
            "ID": session.id,
            "db_id": session.db_id,
            "state": int(session.state),
            "callid": session.callid,
            "from_tag": session.from_tag,
            "to_tag": session.to_tag,
        }
        ends_at = self._sessions.ends_at(session)
        for number, date, at in (("timestart", "datestart", session.started_at), ("timeout", "dateout", ends_at)):
            if at is not None:
                listed[number] = int(at)
                listed[date] = f"{datetime.fromtimestamp(int(at), UTC):%Y-%m-%d %H:%M:%S}"
        if session.end_reason:
            listed["end_reason"] = session.end_reason
        if session.profiles:
            listed["profiles"] = [{"name": name, "value": value} for name, value in sorted(session.profiles)]
        if session.values:
            listed["values"] = dict(session.values)
        return listed
