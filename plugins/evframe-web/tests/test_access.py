"""Who may read and who may act, and what every answer has."""

import json
import re

import pytest
from evframe_web import Options

from evframe.testing import ConfigFile

TOKEN = "right"
READS = [
    "session",
    "state",
    "table?name=events&sort=name",
    "subscriber?key=x",
    "letters",
    "letter?id=1",
    "replays",
    "fleet",
    "events",
]
ACTION = {"method": "virtual:enable", "params": {"socket": "x", "member": "y"}}


async def test_what_every_answer_has(served):
    """Nothing comes from outside, nothing inline runs, and no page of others frames or reads it."""
    async with served() as each:
        for path in ("/", "/app.js", "/style.css", "/api/state", "/api/nothing"):
            await each.get(path)
            policy = dict(part.strip().split(" ", 1) for part in each.headers["Content-Security-Policy"].split(";"))
            assert policy == {
                "default-src": "'none'",
                "script-src": "'self'",
                "style-src": "'self'",
                "connect-src": "'self'",
                "img-src": "'self' data:",
                "base-uri": "'none'",
                "form-action": "'none'",
                "frame-ancestors": "'none'",
            }
            assert each.headers["X-Content-Type-Options"] == "nosniff"
            assert each.headers["Referrer-Policy"] == "no-referrer"
            assert "Set-Cookie" not in each.headers
            assert "Access-Control-Allow-Origin" not in each.headers


async def test_the_files_of_the_page_are_asked_for_once(served):
    """A browser that has a file learns that it is the same; each file that another one names exists."""
    async with served() as each:
        status, page = await each.get("/")
        tag = each.headers["ETag"]
        assert (status, each.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
        assert (await each.get("/", **{"If-None-Match": tag}))[0] == 304
        assert (await each.get("/", **{"If-None-Match": '"x"'}))[0] == 200
        names = set(re.findall(r'(?:href|src)="([^"#]+)"', page))
        names = {f"/{name}" for name in names}  # relative, so that a proxy may have the page below a path
        assert {"/app.js", "/style.css", "/icon.svg"} <= names
        seen = set()
        while names - seen:
            name = (names - seen).pop()
            seen.add(name)
            status, text = await each.get(name)
            assert status == 200, name
            if name.endswith(".js"):
                assert each.headers["Content-Type"] == "text/javascript; charset=utf-8"
                names |= {f"/{found}" for found in re.findall(r'from "\./([^"]+)"', text)}
                assert not re.search(
                    r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function", text
                )
            assert not re.search(r"https?://(?!www\.w3\.org/)", text), name
        assert len(seen) > 10


async def test_without_a_token_the_page_is_read_only(served):
    """All can be read by programs and pages of this machine, and nothing can be done, whatever a request brings."""
    async with served() as each:
        for path in READS[:3]:
            assert (await each.get(f"/api/{path}"))[0] == 200
        assert (await each.get("/api/session"))[1]["acts"] is False
        for token in (None, "", TOKEN):
            problem = {"error": "the page is read-only: no token is configured"}
            assert await each.post(ACTION, token) == (403, problem)
        assert (await each.get("/api/session", token="x"))[1]["acts"] is False
        assert each.web.statistics()[0].counters["actions"] == 0


async def test_with_a_token_it_is_needed_to_read_and_to_act(served):
    """Only the files of the page, which have no data, come without it."""
    async with served({"token": TOKEN}) as each:
        for path in READS:
            for token in (None, "wrong", ""):
                assert (await each.get(f"/api/{path}", token))[0] == 401, path
                assert each.headers["WWW-Authenticate"] == 'Bearer realm="evframe web"'
        assert (await each.get("/"))[0] == 200
        assert (await each.get("/api/session", TOKEN))[1]["acts"] is True
        assert (await each.post(ACTION, None))[0] == 401
        assert (await each.post(ACTION, "wrong"))[0] == 401
        assert (await each.post(ACTION))[0] == 200


async def test_reading_without_the_token_where_the_options_say_so(served):
    """The token is needed to act alone; a name that nothing names here needs it to read, too."""
    async with served({"token": TOKEN, "read_without_token": True, "hosts": ["gw.example"]}) as each:
        assert (await each.get("/api/session"))[1] | {"title": ""} == {
            "title": "",
            "asks": True,
            "acts": False,
            "commands": ["virtual:enable", "virtual:disable"],
            "events_per_s": 500,
        }
        assert (await each.post(ACTION, None))[0] == 401
        assert (await each.get("/api/state", Host="gw.example:1"))[0] == 200
        assert (await each.get("/api/state", Host="evil.example"))[0] == 403
        assert (await each.get("/api/state", TOKEN, Host="evil.example"))[0] == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
async def test_pages_of_others_read_nothing(served, headers):
    """A page that came by DNS rebinding has a name that is none of the gateway's."""
    async with served() as each:
        for path in READS:
            assert (await each.get(f"/api/{path}", **headers))[0] == 403, path


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": None},
        {"Origin": "http://localhost:1"},
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": "http://evil.example"},
        {"Sec-Fetch-Site": "cross-site"},
    ],
)
async def test_an_action_comes_from_the_page_itself(served, headers):
    """The token is not enough: the origin is this page, not another one of this machine."""
    async with served({"token": TOKEN}) as each:
        assert (await each.post(ACTION, **headers))[0] == 403
        assert each.web.statistics()[0].counters == {
            "lost": 0,
            "skipped": 0,
            "snapshots": 0,
            "refused": 1,
            "actions": 0,
        }


async def test_an_action_is_one_of_the_page(served):
    """Other commands, and what is no request, get an error."""
    async with served({"token": TOKEN}) as each:
        for method in ("raise_event", "core:reload", "event_subscribe", "enable", "", 7):
            status, answer = await each.post({"method": method, "params": {}})
            assert (status, list(answer)) == (404 if isinstance(method, str) else 400, ["error"]), method
        assert (await each.post({"method": "virtual:enable", "params": []}))[0] == 400
        assert (await each.post([1]))[0] == 400
        assert (await each.post({"params": "x" * 100_000}))[0] == 413
        assert (await each.post(ACTION, **{"Content-Type": "text/plain"}))[0] == 415
        assert (await each.get("/api/act", TOKEN))[0] == 405
        assert (await each.post(ACTION, path="/api/state"))[0] == 405
        assert (await each.post(ACTION, path="/x"))[0] == 404


@pytest.mark.parametrize(
    "value", [{}, [[1]], [{"a": 1}], json.loads("[" * 900 + "]" * 900)], ids=lambda value: str(value)[:9]
)
async def test_parameters_of_an_action_are_flat(served, value):
    """What is nested is refused, however deep; it would be an error of the log."""
    async with served({"token": TOKEN}) as each:
        status, answer = await each.post({"method": "virtual:enable", "params": {"socket": value, "member": "a"}})
        assert (status, answer) == (400, {"error": "params: expected texts, numbers and lists of them"})


async def test_the_policy_of_management_holds_for_the_page(tmp_path, asking):
    """A command that run-time clients may not call is none of the page's, and is refused with the token, too."""
    config = ConfigFile(tmp_path / "evframe.toml", "mi", "virtual", "web")
    text = f'[plugins.web]\nbind = "127.0.0.1:0"\ntoken = "{TOKEN}"\n'
    for table in ('[management]\ncommands = ["virtual:e*"]', 'commands = ["virtual:e*"]'):
        async with config.interface(text + table) as events:
            each = asking(events)
            assert (await each.get("/api/session", TOKEN))[1]["commands"] == ["virtual:enable"]
            answer = (await each.post(ACTION | {"method": "virtual:disable"}))[1]
            assert answer["error"]["message"] == "Bad parameter value"


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"bind": "10.0.0.1:1"}, "bind: expected a loopback address where there is neither token_file nor token, got"),
        ({"bind": "unix:/tmp/x"}, "bind: expected host:port, got"),
        ({"bind": "x"}, "bind: "),
        ({"read_without_token": True}, "read_without_token: expected it together with token_file or token"),
        ({"token_file": "/no/such"}, "token_file: "),
        ({"token": ""}, "token: expected one line"),
        ({"hosts": ["a:1"]}, "hosts: expected host names"),
        ({"title": "a\nb"}, "title: expected one line"),
        ({"max_viewers": 0}, "max_viewers: "),
        ({"events_per_s": 0}, "events_per_s: "),
        ({"tls_cert_file": "/x"}, "tls_cert_file: expected it together"),
    ],
)
def test_options_that_cannot_be_used_are_refused(options, problem):
    """The sentence begins with the option."""
    with pytest.raises(ValueError, match=f"^{problem}"):
        Options(**options)


def test_the_token_is_not_shown():
    """A log of the options has no secret."""
    assert "secret" not in repr(Options(token="secret")) + repr(Options(token="secret").credentials)
