"""The gateway and the command line, as processes."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from datetime import datetime
from functools import partial
from pathlib import Path

import pytest
from evframe_client import ManagementError
from processes import child, until

EVFRAME = Path(sys.executable).parent / "evframe"


def evframe(*words, **options):
    return subprocess.run([EVFRAME, *words], capture_output=True, text=True, timeout=50, check=False, **options)


@pytest.fixture
def gateway(gateway):
    """Start gateways as an operator does, by the command."""
    return partial(gateway, command=(EVFRAME,))


@pytest.fixture
def receiver():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.settimeout(20)
        yield sock


def test_every_command(gateway, receiver):
    """Subscribe, list, raise and leave with the command line."""
    running = gateway(
        '[[events]]\nname = "E_TEST"\nparams = [{ name = "ip", type = "str" }, { name = "hits", type = "int" }]\n'
    )
    env = {**os.environ, "EVFRAME_URL": running.url}
    target = "udp:127.0.0.1:%d" % receiver.getsockname()[1]

    assert "E_TEST" in evframe("events", env=env).stdout
    assert json.loads(evframe("events", "--json", env=env).stdout)["Events"][-1]["name"] == "E_TEST"
    assert evframe("subscribe", "E_TEST", target, "--expire", "60", env=env).stdout == "OK\n"
    assert target in evframe("subscribers", env=env).stdout
    assert json.loads(evframe("subscribers", "--json", env=env).stdout)["Events"][0]["Subscribers"][0]["expire"] == 60
    assert evframe("raise", "E_TEST", "ip=192.0.2.1", "hits=7", env=env).stdout == "OK\n"
    assert json.loads(receiver.recv(4096))["params"] == {"ip": "192.0.2.1", "hits": 7}
    assert evframe("raise", "E_TEST", "--json", '{"ip": "x", "hits": 1}', "--url", running.url).stdout == "OK\n"
    assert json.loads(receiver.recv(4096))["params"] == {"ip": "x", "hits": 1}
    assert json.loads(evframe("mi", "which", "command=evi:raise", env=env).stdout) == [["event"], ["event", "params"]]
    assert evframe("subscribe", "E_TEST", target, "--expire", "0", env=env).stdout == "OK\n"

    refused = evframe("raise", "E_TEST", "ip=x", env=env)
    problem = "Error: 480: Temporarily Unavailable ('E_TEST' has no subscriber)\n"
    assert (refused.returncode, refused.stderr) == (1, problem)
    for words, code in ((("raise", "E_NONE"), "404: Event not registered"), (("subscribe", "E_NONE", target), "400")):
        refused = evframe(*words, env=env)
        assert refused.returncode == 1
        assert refused.stderr.startswith(f"Error: {code}")
        assert "(expected an event of the gateway, see evframe events, got 'E_NONE')" in refused.stderr
    assert "expected name=value" in evframe("raise", "E_TEST", "x", env=env).stderr
    assert "expected no other parameters" in evframe("raise", "E_TEST", "a=1", "--json", "{}", env=env).stderr
    assert "expected JSON" in evframe("raise", "E_TEST", "--json", "{", env=env).stderr
    assert evframe("--version").stdout.startswith("evframe, version ")
    assert "_EVFRAME_COMPLETE" in evframe(env={**os.environ, "_EVFRAME_COMPLETE": "bash_source"}).stdout
    assert running.stop() == 0


def test_watch(gateway):
    """`watch` prints events as they are raised, those of events it did not know at first too, and leaves."""
    running = gateway('[[events]]\nname = "E_ONE"\n')
    words = [EVFRAME, "watch", "E_O*", "E_NOSUCH", "--url", running.url, "--json"]
    with child(*words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as watch:
        warning = "no event of the gateway matches 'E_NOSUCH' so far, see evframe events\n"
        assert watch.stderr.readline() == warning
        while not running.client.call("subscribers_list")["Events"]:
            assert watch.poll() is None
        running.client.call("raise_event", ["E_ONE", {"n": 1}])
        printed = json.loads(watch.stdout.readline())
        assert abs(datetime.fromisoformat(printed.pop("time")).timestamp() - time.time()) < 60
        assert printed == {"jsonrpc": "2.0", "method": "E_ONE", "params": {"n": 1}}
        watch.send_signal(signal.SIGINT)
        assert watch.wait(timeout=20) == 0
        assert re.fullmatch(r"1 event in \d+ s, none lost\n", watch.stderr.readline())

    assert running.client.call("subscribers_list") == {"Events": []}


def test_watch_whose_reader_has_gone(gateway):
    """`watch | head` ends when `head` has what it wants, although no other event is raised, and says nothing."""
    running = gateway('[[events]]\nname = "E_ONE"\n')
    with (
        child(EVFRAME, "watch", "E_ONE", "--url", running.url, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as watch,
        child("head", "-n", "1", stdin=watch.stdout, stdout=subprocess.PIPE) as head,
    ):
        watch.stdout.close()
        while not running.client.call("subscribers_list")["Events"]:
            assert watch.poll() is None
        running.client.call("raise_event", ["E_ONE", {"n": 1}])
        assert head.stdout.read().endswith(b' E_ONE {"n":1}\n')
        assert watch.wait(timeout=30) == 0
        assert watch.stderr.read().startswith(b"1 event in ")

    assert running.client.call("subscribers_list") == {"Events": []}


def test_bad_input_changes_nothing(gateway, receiver):
    """Whatever arrives, the gateway answers and goes on."""
    running = gateway('[[events]]\nname = "E_TEST"\n')
    for body in (b"", b"{", b"[]", b"1", b'{"jsonrpc":"2.0"}', b"\xff" * 100, b"[" * 50_000, b"x" * 2_000_000):
        request = urllib.request.Request(running.url, body, {"Content-Type": "application/json"})
        try:
            urllib.request.urlopen(request, timeout=20).close()
        except urllib.error.HTTPError as error:
            assert error.code in {400, 413}
            error.close()
    for text, form in (
        ("udp:", "host:port or [ipv6]:port, got ''"),
        ("tcp:x", "host:port or [ipv6]:port, got 'x'"),
        ("unix:", "unix:path of 1 to 107 bytes, got 0 bytes"),
        ("flatstore:", "flatstore:path, got ''"),
        ("route:none", "a route of "),
        ("nosuch:x", "a scheme of "),
        ("udp:127.0.0.1:70000", "a port from 1 to 65535, got '70000'"),
    ):
        with pytest.raises(ManagementError) as refused:
            running.client.call("event_subscribe", ["E_TEST", text])
        assert str(refused.value) == "400: Bad parameter value"
        assert f"socket {text!r}: expected {form}" in running.line("a subscription was refused")["problem"]
    refused = evframe("subscribe", "E_TEST", "udp:", "--url", running.url)
    assert (refused.returncode, refused.stderr.rstrip("\n")) == (
        1,
        "Error: 400: Bad parameter value (socket 'udp:': expected host:port or [ipv6]:port, got '')",
    )
    running.client.call("event_subscribe", ["E_TEST", "udp:127.0.0.1:%d" % receiver.getsockname()[1]])
    running.client.call("raise_event", ["E_TEST"])

    assert receiver.recv(4096) == b'{"jsonrpc":"2.0","method":"E_TEST"}'


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        ("[", ["not TOML"]),
        (
            (
                "[plugins.nosuch]\n[plugins.stream]\ntimeout_ms = '5'\ncolour = 5\n"
                "[plugins.mi-http]\nbind = 'x'\n[plugins.flatstore]\nrotate_size = 'x'\n"
            ),
            [
                "plugins.nosuch",
                "plugins.stream.timeout_ms",
                "plugins.stream: unknown key 'colour'",
                "plugins.mi-http",
                "plugins.flatstore",
            ],
        ),
        (
            (
                '[routes]\nE = "nosuch:f"\n[[events]]\nname = "E"\n[[events]]\nname = "E"\n'
                '[[subscriptions]]\nevent = "E"\nsocket = "udp:x"\n'
            ),
            ["subscriptions[0].socket", "routes.E", "events[1].name"],
        ),
    ],
)
@pytest.mark.parametrize("command", ["check", "run"])
def test_bad_configuration(tmp_path, text, problems, command):
    """`check` and `run` print every problem with its path; `run` ends with the exit code of a bad configuration."""
    file = tmp_path / "bad.toml"
    file.write_text(text)
    done = evframe(command, "-c", file)

    assert done.returncode == {"check": 1, "run": os.EX_CONFIG}[command]
    assert [problem for problem in problems if problem not in done.stderr] == []
    assert "Traceback" not in done.stderr


def test_address_in_use(tmp_path):
    """A management address that is taken is one clear error."""
    file = tmp_path / "evframe.toml"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        file.write_text('[plugins.mi-http]\nbind = "127.0.0.1:%d"\n' % taken.getsockname()[1])
        done = evframe("run", "-c", file)

    assert done.returncode == 1
    assert "Error: [Errno 98] plugins.mi-http.bind:" in done.stderr
    assert "Traceback" not in done.stderr


def test_shutdown_is_bounded_and_says_what_is_lost(gateway):
    """With a subscriber that cannot be reached, SIGTERM ends the gateway within its bound, and the loss is told."""
    running = gateway(
        '[core]\ndrain_timeout_s = 0.2\n[[events]]\nname = "E_TEST"\n'
        '[[subscriptions]]\nevent = "E_TEST"\nsocket = "tcp:127.0.0.1:1"\n'
    )
    running.client.call("raise_event", ["E_TEST"])
    assert running.stop() == 0

    assert running.line("events were not delivered in time")["shutdown"] == 1


def test_a_plugin_that_is_disabled_is_no_warning(gateway):
    """The operator has said so; a plugin that is not loaded for another reason is one."""
    running = gateway('[plugins]\ndisable = ["state"]\n')
    line = running.told("a plugin is not loaded")

    assert (line["plugin"], line["level"]) == ("state", "INFO")


def test_unix_management(tmp_path):
    """The command line finds a management interface on a UNIX path through the configuration."""
    file = tmp_path / "evframe.toml"
    file.write_text(f'[plugins.mi-http]\nbind = "unix:{tmp_path}/mi"\n[[events]]\nname = "E_TEST"\n')
    with child(EVFRAME, "run", "-c", file, stderr=subprocess.PIPE, text=True) as running:
        while "listens" not in running.stderr.readline():
            assert running.poll() is None
        assert "E_TEST" in evframe("events", "-c", file).stdout


def test_subscriptions_survive_a_kill(gateway, receiver):
    """What a client has subscribed is there after `kill -9` and a new start, with the time it has left."""
    toml = '[[events]]\nname = "E_TEST"\n'
    first = gateway(toml)
    target = "udp:127.0.0.1:%d" % receiver.getsockname()[1]
    first.client.call("event_subscribe", ["E_TEST", target, 600])
    first.client.call("event_subscribe", ["E_TEST", "unix:/tmp/gone", 600])
    first.client.call("event_subscribe", ["E_TEST", "unix:/tmp/gone", 0])
    first.process.kill()
    first.process.wait()
    second = gateway(toml)
    (listed,) = second.client.call("subscribers_list")["Events"][0]["Subscribers"]
    second.client.call("raise_event", ["E_TEST"])

    assert (listed["socket"], listed["expire"]) == (target, 600)
    assert 500 < listed["ttl"] <= 600
    assert receiver.recv(4096) == b'{"jsonrpc":"2.0","method":"E_TEST"}'


def test_reload(gateway, tmp_path):
    """SIGHUP loads the file again as a whole; a file with a problem changes nothing, and says why."""
    running = gateway('[[events]]\nname = "E_OLD"\n')
    file = tmp_path / "evframe.toml"
    head = '[plugins.mi-http]\nbind = "127.0.0.1:0"\n'
    file.write_text(
        head + '[[events]]\nname = "E_NEW"\n[[subscriptions]]\nevent = "E_NEW"\nsocket = "udp:127.0.0.1:9"\n'
    )
    running.process.send_signal(signal.SIGHUP)
    changes = running.line("the configuration was loaded again")
    assert (changes["events"], changes["subscribed"]) == (["E_NEW"], ["E_NEW udp:127.0.0.1:9"])
    file.write_text(head + '[[subscriptions]]\nevent = "E_NEW"\nsocket = "udp:nosuch"\n')
    running.process.send_signal(signal.SIGHUP)
    assert "subscriptions[0].socket" in running.line("the configuration was not loaded again")["problem"]

    assert [event["name"] for event in running.client.call("subscribers_list")["Events"]] == ["E_NEW"]
    file.write_text(head)
    assert running.client.call("core:reload") == {"Changes": {"ended": ["E_NEW udp:127.0.0.1:9"]}}


def test_options_of_a_transport_change(gateway, tmp_path):
    """A transport gets other options while its subscribers go on, and loses nothing."""
    lines = tmp_path / "lines"
    subscription = f'[[events]]\nname = "E_TEST"\n[[subscriptions]]\nevent = "E_TEST"\nsocket = "flatstore:{lines}"\n'
    running = gateway(subscription)
    running.client.call("raise_event", ["E_TEST", ["a", "b"]])
    until(lambda: lines.exists() and lines.read_text())  # what still waits is written with the new options
    (tmp_path / "evframe.toml").write_text(
        f'[plugins.mi-http]\nbind = "127.0.0.1:0"\n{subscription}[plugins.flatstore]\ndelimiter = "|"\n'
    )
    assert running.client.call("core:reload") == {"Changes": {"plugins": ["flatstore"]}}
    running.client.call("raise_event", ["E_TEST", ["a", "b"]])
    assert running.stop() == 0
    assert lines.read_text() == "E_TEST,a,b\nE_TEST|a|b\n"
