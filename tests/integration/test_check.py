"""`evframe check --connect` with the transports of this repository, on real sockets."""

import socket
import subprocess
import sys

import pytest
from click.testing import CliRunner
from evframe_resolver import resolver as resolving

from evframe.cli import main
from evframe.testing import FakeNames

HEAD = '[plugins]\ndisable = ["mi-http", "core-events"]\n[core]\nresolve_timeout_s = 0.5\n'


@pytest.fixture
def names(monkeypatch):
    with FakeNames() as names:
        monkeypatch.setattr(resolving, "look_up", names)
        yield names


@pytest.fixture
def listener():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


@pytest.fixture
def closed():
    """Yield a port on which nothing listens for as long as the test runs."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


def check(tmp_path, *sockets, connect=True):
    file = tmp_path / "evframe.toml"
    file.write_text(HEAD + "".join(f"[[subscriptions]]\nevent = 'E_A'\nsocket = '{text}'\n" for text in sockets))
    result = CliRunner().invoke(main, ["check", "-c", str(file), *["--connect"] * connect])
    return result.exit_code, result.stdout.splitlines(), result.stderr.splitlines()


def test_every_target_that_can_be_reached(tmp_path, names, listener):
    """Each target is named once, with the addresses of its names; members of combined sockets are targets."""
    names["peer.example"] = ["127.0.0.1", "::1"]
    path = tmp_path / "events.log"
    code, found, problems = check(
        tmp_path,
        f"udp:peer.example:{listener}",
        f"virtual:FAILOVER flatstore:{path} unix:@evframe-check",
        f"flatstore:{path}",
    )
    assert (code, found, problems) == (
        1,
        [
            f"udp:peer.example:{listener}: not tried, the transport makes no connection; peer.example is 127.0.0.1, ::1",
            f"flatstore:{path}: reachable",
        ],
        ["unix:@evframe-check: refused"],
    )
    assert not path.exists(), "a file that is made here would belong to the user who checks"


def test_targets_that_cannot_be_reached(tmp_path, names, listener, closed):
    """Each target that cannot be reached has its reason on standard error, and the exit code is 1."""
    names["silent.example"] = None
    code, found, problems = check(
        tmp_path,
        f"tcp:127.0.0.1:{listener}",
        f"tcp:127.0.0.1:{closed}",
        f"udp:silent.example:{closed}",
        f"udp:unknown.example:{closed}",
        f"unix:{tmp_path}/nobody",
    )
    assert code == 1
    assert found == [f"tcp:127.0.0.1:{listener}: reachable"]
    assert problems == [
        f"tcp:127.0.0.1:{closed}: refused",
        f"udp:silent.example:{closed}: unresolved",
        f"udp:unknown.example:{closed}: unresolved",
        f"unix:{tmp_path}/nobody: no_such_path",
    ]


@pytest.mark.parametrize(
    "form",
    [
        "tcp:127.0.0.1:%d",
        "xmlrpc:127.0.0.1:%d:m",
        "http://127.0.0.1:%d/",
        "rabbitmq:127.0.0.1:%d/q",
        "kafka:127.0.0.1:%d/t",
        "redis://127.0.0.1:%d?stream=s",
    ],
)
def test_a_port_on_which_nothing_listens_is_one_word_for_all_transports(tmp_path, names, closed, form):
    """Whatever library a transport uses, such a port is `refused`."""
    code, _, (problem,) = check(tmp_path, form % closed)
    assert (code, problem.rpartition(": ")[2]) == (1, "refused")


def test_a_webhook_by_a_name(tmp_path, names, listener):
    """The configuration may send webhooks to a name of a private network."""
    names["hooks.example"] = ["127.0.0.1"]
    text = f"http://hooks.example:{listener}/"
    assert check(tmp_path, text) == (0, [f"{text}: reachable; hooks.example is 127.0.0.1", "ok"], [])


def test_a_host_of_a_reference_is_not_shown(tmp_path, names, listener, monkeypatch):
    """The addresses of a host that is the value of a reference are there without its name."""
    names["hidden.example"] = ["127.0.0.1"]
    monkeypatch.setenv("HOST", "hidden.example")
    socket = f"tcp:${{env:HOST}}:{listener}"
    assert check(tmp_path, socket) == (0, [f"{socket}: reachable; a host is 127.0.0.1", "ok"], [])


def test_libraries_print_nothing_of_their_own(tmp_path, closed):
    """What a library logs about a target that cannot be reached is left out: the target has its line."""
    file = tmp_path / "evframe.toml"
    file.write_text(f"{HEAD}[[subscriptions]]\nevent = 'E_A'\nsocket = 'kafka:127.0.0.1:{closed}/t'\n")
    command = [sys.executable, "-m", "evframe", "check", "--connect", "-c", str(file)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (result.returncode, result.stderr) == (1, f"kafka:127.0.0.1:{closed}/t: refused\n")


def test_all_is_well(tmp_path, names, listener):
    """When every target can be reached, the last line is ok."""
    assert check(tmp_path, f"tcp:127.0.0.1:{listener}") == (0, [f"tcp:127.0.0.1:{listener}: reachable", "ok"], [])


def test_a_check_without_connect_asks_no_one(tmp_path, names, closed):
    """Without --connect nothing is looked up, and a name that does not resolve is no problem."""
    names["silent.example"] = None
    place = f"silent.example:{closed}"
    sockets = [
        f"udp:{place}",
        f"tcp:{place}",
        f"xmlrpc:{place}:m",
        f"https://{place}/",
        f"rabbitmq:{place}/key",
        f"kafka:{place}/topic",
        f"redis://{place}?stream=s",
    ]
    assert check(tmp_path, *sockets, connect=False) == (0, ["ok"], [])
    assert names.asked == []
