"""Texts from outside, through everything that the command line prints: nothing reaches the terminal as it is."""

import json
import subprocess
import sys

import pytest
from click.testing import CliRunner
from evframe_client import ReceivedEvent
from evframe_client.commands.event_lines import EventLines
from evframe_client.subscriptions import parse_event
from harmful import HOSTILE, assert_harmless
from serving import HttpServer, http

from evframe.cli import main

ANSWERS = {
    "events_list": {"Events": [{"name": HOSTILE, "id": 7}]},
    "evi:describe": {
        "Events": [{"name": HOSTILE, "id": 7, "params": [{"name": HOSTILE, "type": HOSTILE, "optional": False}]}]
    },
    "subscribers_list": {"Events": [{"name": HOSTILE, "Subscribers": [{"socket": HOSTILE, "ttl": HOSTILE}]}]},
    "which": [HOSTILE],
}


def answer(request):
    message = json.loads(request)
    result = ANSWERS.get(message["method"], {HOSTILE: [HOSTILE]})
    if message["method"] == "which" and message.get("params"):
        result = [[HOSTILE]]
    return json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result}).encode()


def refuse(request):
    error = {"code": 400, "message": HOSTILE, "data": HOSTILE}
    return json.dumps({"jsonrpc": "2.0", "id": json.loads(request)["id"], "error": error}).encode()


@pytest.fixture(params=[answer, refuse], ids=["answers", "errors"])
def gateway(request):
    server = HttpServer(http(request.param)).start()
    yield server.url
    server.close()


def run(*words):
    return CliRunner().invoke(main, list(words))


@pytest.mark.parametrize(
    "words",
    [
        ["events"],
        ["events", "--json"],
        ["subscribers"],
        ["subscribers", "--json"],
        ["top", "--once", "--no-rate"],
        ["top", "--once", "--no-rate", "--json"],
        ["subscribe", "E_A", "udp:127.0.0.1:1"],
        ["subscribe", HOSTILE, HOSTILE],
        ["raise", "E_A", "a=b"],
        ["raise", HOSTILE, f"a={HOSTILE}"],
        ["raise", "E_A", "--json", '{"a": 1}'],
        ["raise", "E_A", "--json", HOSTILE],
        ["raise", "E_A", HOSTILE],
        ["mi"],
        ["mi", "anything", HOSTILE],
        ["mi", HOSTILE, "--json", "[]"],
        ["mi", "anything", "--json", HOSTILE],
        ["watch"],
        ["watch", HOSTILE],
        ["watch", "--address", HOSTILE],
    ],
    ids=lambda words: ascii(" ".join(words))[:30],
)
def test_commands_of_a_gateway(gateway, words):
    """Whatever a gateway answers, it is printed with escapes; the forms in JSON keep their values."""
    if words[0] == "watch" and "--address" not in words:
        ANSWERS["event_subscribe"] = "OK"
        words = [*words, "--receiver", "nothing"]  # it is refused before it waits
    done = run(*words, "--url", gateway)

    is_listed = words[0] in {"events", "subscribers"}
    assert_harmless(done.stdout.replace("\t", " ") if is_listed else done.stdout, done.stderr)
    if "--json" in words and is_listed and not done.exit_code:
        assert json.loads(done.stdout)["Events"][0]["name"] == HOSTILE


ODD = [None, 7, "OK", [], {}, [7, None], {"Events": 7}, {"Events": [None]}, {"Events": [{"id": 7, "params": 7}]}]


@pytest.mark.parametrize("result", ODD, ids=json.dumps)
@pytest.mark.parametrize(
    "words",
    [
        ["events"],
        ["subscribers"],
        ["mi"],
        ["top", "--once", "--no-rate"],
        ["watch", "--count", "1"],
        ["dead", "list"],
        ["dead", "show", "1"],
        ["dead", "replay", "1"],
        ["dead", "drop", "1"],
    ],
    ids=" ".join,
)
def test_answers_of_another_form(words, result):
    """What answers JSON-RPC and is no gateway is an error of one line: no command ends with a traceback."""

    def odd(request):
        id_ = json.loads(request)["id"]
        return json.dumps({"jsonrpc": "2.0", "id": id_, "result": result}).encode()

    server = HttpServer(http(odd)).start()
    try:
        done = run(*words, "--url", server.url)
    finally:
        server.close()

    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    if words[0] in {"events", "subscribers", "dead"}:
        assert (done.exit_code, done.stderr.count("\n")) == (1, 1)
        assert "expected" in done.stderr


@pytest.mark.parametrize(
    "words", [["events"], ["subscribers", "--json"], ["subscribers"], ["mi"], ["top"]], ids=" ".join
)
def test_without_standard_streams(words):
    """A process that begins with closed streams, as a daemon may, ends without a traceback."""
    server = HttpServer(http(answer)).start()
    command = [sys.executable, "-m", "evframe", *words, "--url", server.url]
    if words == ["top"]:
        command += ["--once", "--no-rate"]
    try:
        done = subprocess.run(
            ["sh", "-c", '"$@" <&- >&-', "sh", *command], stderr=subprocess.PIPE, text=True, check=False
        )
    finally:
        server.close()

    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("as_json", [False, True])
@pytest.mark.parametrize(
    "payload",
    [
        json.dumps({"jsonrpc": "2.0", "method": HOSTILE, "params": {HOSTILE: [HOSTILE, 1.5]}}).encode(),
        b'{"jsonrpc":"2.0","method":"E\x1b[2J\n2026-01-01","params":{"a\x07":"\xff\n2026-01-01 \xe2\x80\xae","a\x07":1.50}}',
        b'{"jsonrpc":"2.0",\n"method":"E","params":[1,\n2026]}',
    ],
)
def test_watch(payload, as_json):
    """An event is printed on one line, whatever its sender; in JSON it keeps its value."""
    event = parse_event(payload)
    line = EventLines(as_json=as_json).line(event)

    assert line.isprintable()
    if as_json:
        assert parse_event(line.encode()) == ReceivedEvent(event.name, event.params, line.encode())
