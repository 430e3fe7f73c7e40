"""Texts from outside, through everything that the command line prints: nothing reaches the terminal as it is."""

import json

import pytest
from click.testing import CliRunner
from serving import HttpServer, http

import evframe
from evframe.cli import main
from evframe.client.subscriptions import parse_event
from evframe.watching import lines

HOSTILE = "x\x1b[2J\x07\r\n2026-01-01 forged\u202e\u2066\x85\x9b31m\udcff\x7f\u2028 é😀"
ANSWERS = {
    "events_list": {"Events": [{"name": HOSTILE, "id": 7}]},
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


def assert_harmless(*texts):
    for text in texts:
        for line in text.split("\n"):
            assert line.isprintable(), line
            assert not line.startswith("2026-01-01"), line


@pytest.mark.parametrize(
    "words",
    [
        ["events"],
        ["events", "--json"],
        ["subscribers"],
        ["subscribers", "--json"],
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

    assert_harmless(done.stdout, done.stderr)
    if "--json" in words and words[0] in {"events", "subscribers"} and not done.exit_code:
        assert json.loads(done.stdout)["Events"][0]["name"] == HOSTILE


@pytest.mark.parametrize(
    "text",
    [
        f'[[subscriptions]]\nevent = "E_A"\nsocket = {json.dumps("tcp:h:1/" + HOSTILE.replace(chr(0xDCFF), ""))}\n',
        f"{json.dumps(HOSTILE.replace(chr(0xDCFF), ''))} = 1\n",
        f"[[events]]\nname = {json.dumps(HOSTILE.replace(chr(0xDCFF), '') * 3)}\n",
        "\x1b[2J\u202e",
    ],
)
def test_check(tmp_path, text):
    """Every problem of a configuration is one line without anything that a terminal would obey."""
    file = tmp_path / "evframe.toml"
    file.write_text(text.replace(r"\ud83d\ude00", "").replace("\ud83d", ""), encoding="utf-8")
    done = run("check", "-c", str(file))

    assert done.exit_code == 1
    assert_harmless(done.stdout, done.stderr)


def test_plugins(install, monkeypatch, tmp_path):
    """What a plugin raises when it is loaded is listed with escapes."""
    (tmp_path / "hostile.py").write_text(f"raise RuntimeError({HOSTILE!a})\n")
    monkeypatch.syspath_prepend(tmp_path)
    install(hostile="hostile:Plugin")

    for words in (["plugins"], ["plugins", "--json"]):
        done = run(*words)
        assert "forged" in done.stdout
        assert_harmless(done.stdout, done.stderr)


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
    """An event is printed on one line, whoever has sent it; in JSON it keeps its value."""
    event = parse_event(payload)
    (line,) = lines([event], as_json=as_json)

    assert line.isprintable()
    if as_json:
        assert parse_event(line.encode()) == evframe.client.ReceivedEvent(event.name, event.params, line.encode())
