"""The commands that talk to a gateway, in process."""

import json
from datetime import datetime

import pytest
from click.shell_completion import ShellComplete
from click.testing import CliRunner
from evframe_client import ReceivedEvent
from evframe_client.commands.event_lines import EventLines, unmatched
from evframe_mi.testing import management
from serving import DatagramServer, FifoServer, HttpServer, http

from evframe.cli import main


@pytest.fixture
def command():
    runner = CliRunner()
    return lambda *words: runner.invoke(main, list(words))


def test_gateway_that_is_not_there(command):
    """A gateway that cannot be reached is one clear error."""
    result = command("events", "--url", "http://127.0.0.1:1/mi")

    assert result.exit_code == 1
    assert "no answer from http://127.0.0.1:1/mi" in result.stderr


def test_raise_names_the_argument_that_is_no_pair(command):
    """An argument of `raise` that is not `name=value` is one error, which names it."""
    result = command("raise", "E_X", "caller=x", "seconds")

    assert result.exit_code == 2
    assert "Error: Invalid value for K=V: expected name=value, got 'seconds'" in result.stderr


@pytest.fixture
def serving(events):
    """Serve the commands of an interface: `serving(kind, *arguments)`."""
    running = []

    def serving(kind, *arguments):
        handle = management(events).handle
        running.append(kind(http(handle) if kind is HttpServer else handle, *arguments).start())
        return running[-1]

    yield serving
    for server in running:
        server.close()


def test_a_command_that_is_not_known_is_named(command, serving):
    """A command that the gateway does not have is one error, which names it and where the commands are listed."""
    result = command("mi", "core:uptme", "--url", serving(HttpServer).url)

    assert result.exit_code == 1
    assert "-32601: Method not found (expected a command of the gateway, see evframe mi, got 'core:uptme')" in (
        result.stderr
    )


def test_commands_are_listed(command, serving):
    """Without a method, `mi` lists the commands, a line for each list of parameters that they take."""
    listed = command("mi", "--url", serving(HttpServer).url).stdout.splitlines()

    assert [line for line in listed if line.startswith("evi:s")] == [
        "evi:subscribe event socket",
        "evi:subscribe event socket expire",
        "evi:subscribers",
        "evi:subscribers event",
        "evi:subscribers event socket",
        "evi:statistics",
    ]
    assert "core:pwd" in listed


@pytest.mark.parametrize(
    ("words", "params"),
    [
        (["x", "a=b"], ["x", "a=b"]),
        (["event=x"], {"event": "x"}),
        (["--json", '["x", {"n": [1]}]'], ["x", {"n": [1]}]),
        (["--json", '{"event": "x", "params": [1]}'], {"event": "x", "params": [1]}),
        ([], None),
        (["-3"], ["-3"]),
        (["x", "-13", "-1.5", "-"], ["x", "-13", "-1.5", "-"]),
        (["--", "-3", "--url", "-c"], ["-3", "--url", "-c"]),
    ],
)
def test_parameters_of_a_command(command, serving, words, params):
    """Parameters are texts in order or by name, or whatever JSON holds."""
    server = serving(HttpServer)
    command("mi", "--url", server.url, "raise_event", *words)

    assert json.loads(server.requests[-1][0].partition(b"\r\n\r\n")[2]).get("params") == params


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["--json", "{"], "expected JSON: "),
        (["--json", '{"a": NaN}'], "expected JSON: "),
        (["--json", "1"], "expected a JSON object or array, got 1"),
        (["--json", "[]", "x"], "expected no other parameters"),
        (["--jsno", "[]"], "No such option '--jsno'"),
        (["--ulr=x"], "No such option '--ulr'"),
        (["-x"], "No such option '-x'"),
        (["-3x"], "No such option '-3x'"),
    ],
)
def test_bad_parameters(command, words, problem):
    """What is no JSON object or array is refused before anything is sent."""
    result = command("mi", "pwd", *words, "--url", "udp://127.0.0.1:1")

    assert result.exit_code == 2
    assert problem in result.stderr


def test_options_behind_negative_numbers(command, serving):
    """A parameter that is a negative number ends no options."""
    server = serving(HttpServer)
    command("mi", "raise_event", "-3", "--url", server.url)
    assert json.loads(server.requests[-1][0].partition(b"\r\n\r\n")[2])["params"] == ["-3"]


def test_every_transport(command, serving, tmp_path):
    """The URL says how the gateway is reached; so does the first management interface of a configuration."""
    unix = serving(DatagramServer, str(tmp_path / "mi.sock"))
    udp = serving(DatagramServer)
    fifo = serving(FifoServer, tmp_path)
    path = serving(HttpServer, str(tmp_path / "http.sock"))
    tables = [
        f'[plugins.mi-datagram]\nsocket_name = "{unix.path}"\n[plugins.mi-http]\n',
        f'[plugins.mi-datagram]\nsocket_name = "{udp.url.replace("//", "")}"\n',
        f'[plugins.mi-fifo]\nfifo_name = "{fifo.path}"\nreply_dir = "{fifo.folder}"\n',
        f'[plugins]\ndisable = ["mi-fifo"]\n[plugins.mi-fifo]\nfifo_name = "/x"\n[plugins.mi-http]\nbind = "unix:{tmp_path}/http.sock"\n',
    ]
    file = tmp_path / "evframe.toml"
    for server, table in zip((unix, udp, fifo, path), tables, strict=True):
        file.write_text(table)
        for words in (["--url", server.url], ["-c", str(file)]):
            result = command("events", *words)
            assert (result.exit_code, result.stdout) == (0, "0\tE_A\t0\t\n1\tE_B\t0\t\n"), result.output
        assert len(server.requests) == 2


def test_the_configuration_without_an_option(command, serving, tmp_path, monkeypatch):
    """The environment names the configuration; without it, the one in /etc counts if this user can read it."""
    server, other = serving(HttpServer), serving(HttpServer)
    for name, each in (("one", server), ("two", other)):
        place = each.url.removeprefix("http://").removesuffix("/mi")
        (tmp_path / name).write_text(f'[plugins.mi-http]\nbind = "{place}"\n')
    monkeypatch.setattr("evframe_client.commands.connection.DEFAULT_CONFIG", str(tmp_path / "one"))
    monkeypatch.delenv("EVFRAME_CONFIG", raising=False)
    assert (command("events").exit_code, len(server.requests)) == (0, 1)
    monkeypatch.setenv("EVFRAME_CONFIG", str(tmp_path / "two"))
    assert (command("events").exit_code, len(other.requests)) == (0, 1)
    monkeypatch.setenv("EVFRAME_CONFIG", str(tmp_path / "three"))
    assert "three: No such file or directory" in command("events").stderr
    assert command("events", "--url", server.url).exit_code == 0


def test_token(command, serving, tmp_path, monkeypatch):
    """The token comes from a file that an option, the environment or the configuration of the gateway names."""
    server = serving(HttpServer)
    (tmp_path / "one").write_text("t1\n")
    (tmp_path / "two").write_text("t2")
    file = tmp_path / "evframe.toml"
    place = server.url.removeprefix("http://").removesuffix("/mi")
    file.write_text(f'[plugins.mi-http]\nbind = "{place}"\ntoken_file = "{tmp_path}/two"\n')

    command("events", "--url", server.url)
    command("events", "--url", server.url, "--token-file", str(tmp_path / "one"))
    command("events", "-c", str(file))
    command("events", "-c", str(file), "--url", server.url)
    monkeypatch.setenv("EVFRAME_TOKEN_FILE", str(tmp_path / "one"))
    command("events", "-c", str(file))
    sent = [[line for line in request.split(b"\r\n") if b"Bearer" in line] for request, _ in server.requests]

    assert sent == [[], [b"Authorization: Bearer t1"], [b"Authorization: Bearer t2"], [], [b"Authorization: Bearer t1"]]


def test_a_token_in_the_configuration(command, serving, tmp_path, monkeypatch):
    """The token of `[plugins.mi-http]` itself is sent too, with the value of its reference."""
    server = serving(HttpServer)
    file = tmp_path / "evframe.toml"
    place = server.url.removeprefix("http://").removesuffix("/mi")
    file.write_text(f"[plugins.mi-http]\nbind = '{place}'\ntoken = '${{env:THE_TOKEN}}'\n")

    refused = command("events", "-c", str(file))
    assert (refused.exit_code, refused.stderr.count("\n")) == (1, 1)
    assert "plugins.mi-http.token: expected the variable of ${env:THE_TOKEN} in the environment" in refused.stderr
    monkeypatch.setenv("THE_TOKEN", "t3")
    assert command("events", "-c", str(file)).exit_code == 0
    (request,) = [request for request, _ in server.requests]
    assert b"\r\nAuthorization: Bearer t3\r\n" in request


def test_options_that_cannot_be_used(command, tmp_path):
    """Each is one clear error."""
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "bad.toml").write_text("[")
    for words, problem in [
        (["--url", "ftp://x"], "URL 'ftp://x': expected http://"),
        (["--token-file", str(tmp_path / "nope")], "No such file or directory"),
        (["--token-file", str(tmp_path / "empty")], "expected a token, got nothing"),
        (["--ca-file", str(tmp_path / "empty"), "--url", "https://x"], "ca_file: expected a file of certificates"),
        (["-c", str(tmp_path / "bad.toml")], "not TOML"),
    ]:
        result = command("events", *words)
        assert (result.exit_code, result.stderr.count("\n")) == (1, 1), result.output
        assert problem in result.stderr
    for words in (["--address", "x"], ["--address", "0.0.0.0"]):
        result = command("watch", *words)
        assert result.exit_code == 2
        assert "address: expected the IP address" in result.stderr


def test_completion(serving):
    """A shell completes events and management commands with those of the gateway, and nothing when it is away."""
    url = serving(HttpServer).url
    shell = ShellComplete(main, {}, "evframe", "_EVFRAME_COMPLETE")

    def completed(*words):
        return [item.value for item in shell.get_completions(list(words[:-1]), words[-1])]

    assert completed("raise", "--url", url, "E_") == ["E_A", "E_B"]
    assert completed("subscribe", "--url", url, "E_B") == ["E_B"]
    assert completed("watch", "--url", url, "E_A", "E_") == ["E_A", "E_B"]
    assert completed("mi", "--url", url, "evi:subscribe") == ["evi:subscribe", "evi:subscribers"]
    assert completed("mi", "--url", "udp://127.0.0.1:1", "evi:") == []
    assert completed("raise", "--url", "nonsense", "E_") == []


def test_urls_as_the_help_has_them(command, serving):
    """`--url udp:host:port` works as the help of the option has it."""
    server = serving(DatagramServer)
    result = command("events", "--url", server.url.replace("//", ""))
    assert (result.exit_code, result.stderr) == (0, "")
    assert "udp:host:port" in command("events", "--help").stdout


def test_patterns_that_match_nothing():
    """A pattern counts as unmatched when none of the subscribed events fits it, letter by letter."""
    assert unmatched(["E_A", "E_*", "e_a", "E_[BC]", "X?"], ["E_A", "E_D"]) == ["e_a", "E_[BC]", "X?"]
    assert unmatched([], ["E_A"]) == []


@pytest.fixture
def answering():
    """Return what starts a gateway that answers each command with what a mapping has."""
    running = []

    def answering(**results):
        def answer(request):
            asked = json.loads(request)
            known = asked["method"].rpartition(":")[2] in results
            result = {"result": results[asked["method"].rpartition(":")[2]]} if known else {"error": NO_METHOD}
            return json.dumps({"jsonrpc": "2.0", "id": asked["id"], **result}).encode()

        running.append(HttpServer(http(answer)).start())
        return running[-1].url

    yield answering
    for server in running:
        server.close()


NO_METHOD = {"code": -32601, "message": "Method not found"}
LISTED = [
    {"socket": "tcp:h:1", "expire": "never", "state": "away", "away": "refused", "depth": 3, "oldest": 1.5},
    {"socket": "flatstore:/var/log/evframe/calls-of-the-second-site.log", "expire": 9, "ttl": 7, "state": "unknown"},
    {"socket": "udp:h:2", "expire": "never"},
]
DESCRIBED = [
    {
        "name": "E_CALL_ENDED",
        "id": 0,
        "raised": 12,
        "params": [
            {"name": "caller", "type": "str", "optional": False, "summary": ""},
            {"name": "seconds", "type": "int", "optional": True, "summary": ""},
        ],
    },
    {"name": "E_NONE", "id": 1, "raised": 0, "params": []},
    {"name": "E_ANY", "id": 2, "raised": 3},
]


def on_a_terminal(monkeypatch, columns):
    monkeypatch.setattr("evframe_client.commands.columns.has_colours", lambda: False)
    monkeypatch.setattr("evframe_client.commands.columns.is_terminal", lambda _: True)
    monkeypatch.setenv("COLUMNS", str(columns))


def test_subscribers_in_columns(command, answering, monkeypatch):
    """For scripts, the columns are separated by tabs; on a terminal they have names, and sockets are folded."""
    url = answering(subscribers_list={"Events": [{"name": "E_A", "id": 0, "Subscribers": LISTED}]})
    assert command("subscribers", "--url", url).stdout.splitlines() == [
        "E_A\taway: refused\t3\t1.5\tnever\ttcp:h:1",
        "E_A\tunknown\t0\t\t7\tflatstore:/var/log/evframe/calls-of-the-second-site.log",
        "E_A\t\t\t\tnever\tudp:h:2",
    ]
    on_a_terminal(monkeypatch, 80)
    assert command("subscribers", "--url", url).stdout.splitlines() == [
        "EVENT  STATE          DEPTH  LEASE  SOCKET",
        "E_A    away: refused      3  never  tcp:h:1",
        "E_A    unknown            0      7  flatstore:/var/log/evframe/calls-of-the-seco",
        "                                    nd-site.log",
        "E_A                          never  udp:h:2",
    ]
    on_a_terminal(monkeypatch, 100)
    assert command("subscribers", "--url", url).stdout.splitlines()[:2] == [
        "EVENT  STATE          DEPTH  OLDEST  LEASE  SOCKET",
        "E_A    away: refused      3     1.5  never  tcp:h:1",
    ]


def test_a_subscriber_of_a_fleet_that_waits_at_another_gateway(command, answering):
    """Its state and what waits are not known here, but that it is behind, and where."""
    there = {"socket": "udp:h:1", "expire": 9, "ttl": 7, "state": "unknown", "Owner": "b", "Behind": True}
    here = {**there, "state": "away", "away": "refused", "depth": 3, "Owner": "a"}
    listed = [there, here, {**there, "Owner": None}]
    url = answering(subscribers_list={"Events": [{"name": "E_A", "id": 0, "Subscribers": listed}]})
    assert command("subscribers", "--url", url).stdout.splitlines() == [
        "E_A\tbehind at b\t\t\t7\tudp:h:1",
        "E_A\taway: refused\t3\t\t7\tudp:h:1",
        "E_A\tbehind at no gateway\t\t\t7\tudp:h:1",
    ]


def test_events_in_columns(command, answering, monkeypatch):
    """Events have their parameters with types; those of an OpenSIPS have names alone."""
    url = answering(describe={"Events": DESCRIBED})
    assert command("events", "--url", url).stdout.splitlines() == [
        "0\tE_CALL_ENDED\t12\tcaller: str, seconds?: int",
        "1\tE_NONE\t0\tnone",
        "2\tE_ANY\t3\t",
    ]
    assert json.loads(command("events", "--json", "--url", url).stdout) == {"Events": DESCRIBED}
    old = answering(events_list={"Events": [{"name": "E_A", "id": 0}]})
    assert command("events", "--url", old).stdout == "0\tE_A\t\t\n"
    on_a_terminal(monkeypatch, 48)
    assert command("events", "--url", url).stdout.splitlines() == [
        "ID  NAME          RAISED  PARAMETERS",
        " 0  E_CALL_ENDED      12  caller: str,",
        "                          seconds?: int",
        " 1  E_NONE             0  none",
        " 2  E_ANY              3",
    ]


def test_the_line_of_an_event():
    """It begins with the time, in UTC or that of the machine; the notification of an event has a member for it."""
    payload = b'{"jsonrpc":"2.0","method":"E_A","params":{"n":1.10}}'
    event = ReceivedEvent("E_A", {"n": 1.5}, payload, 0.0625)
    assert EventLines(utc=True).line(event) == '1970-01-01 00:00:00.062Z E_A {"n":1.5}'
    assert EventLines(has_time=False).line(event) == 'E_A {"n":1.5}'
    assert EventLines(utc=True, as_json=True).line(event) == (
        '{"time":"1970-01-01T00:00:00.062Z",' + payload.decode()[1:]
    )
    assert EventLines(as_json=True, has_time=False).line(event) == payload.decode()
    own = b'{"specversion":"1.0","type":"E_A","source":"/","id":"1","time":"2026-11-29T02:20:36.437Z"}'
    assert EventLines(as_json=True).line(ReceivedEvent("E_A", None, own, 0.0625)) == own.decode()
    within = b'{"jsonrpc":"2.0","method":"E_A","params":{"time":1}}'
    assert "1970" in EventLines(utc=True, as_json=True).line(ReceivedEvent("E_A", {"time": 1}, within, 0.0625))
    local = json.loads(EventLines(as_json=True).line(event))["time"]
    assert datetime.fromisoformat(local).timestamp() == 0.062
    assert EventLines().line(event).startswith(local[:23].replace("T", " ") + " E_A ")
    coloured = EventLines(has_colours=True, utc=True).line(event)
    assert coloured == '\x1b[2m1970-01-01 00:00:00.062Z\x1b[0m \x1b[36m\x1b[1mE_A\x1b[0m {"n":1.5}'
