"""Whole OpenSIPS scripts that become configurations of the installed plugins."""

import re
import shutil
import tomllib
from pathlib import Path

import attrs
import pytest
from click.testing import CliRunner
from evframe_import_opensips import convert
from evframe_import_opensips.modules import MODULES, PARAMETERS
from hypothesis import example, given, settings
from hypothesis import strategies as st

import evframe
from evframe.cli import main
from evframe.config import parse_config

SCRIPTS = Path(__file__).parent / "opensips"


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Work in a folder with the scripts."""
    shutil.copytree(SCRIPTS, tmp_path / "opensips")
    monkeypatch.chdir(tmp_path / "opensips")
    monkeypatch.syspath_prepend(tmp_path / "opensips")
    return tmp_path / "opensips"


def command(*words, text=None):
    return CliRunner().invoke(main, ["import-opensips", *words], input=text)


def interface_of(text):
    """Return the interface of a configuration; tables of packages that are not installed are left out."""
    installed = {status.name for status in evframe.EventInterface().plugin_status}
    config = parse_config(text)
    plugins = {name: table for name, table in config.plugins.items() if name in installed}
    return evframe.EventInterface(attrs.evolve(config, plugins=plugins))


@pytest.mark.parametrize("name", ["residential", "trunk", "old"])
def test_whole_scripts(name):
    """A whole script becomes the configuration beside it, and the interface has what that says."""
    done = command(f"{name}.cfg")
    expected = (SCRIPTS / f"{name}.toml").read_text()
    assert (done.exit_code, done.stdout) == (0, expected)

    tables = tomllib.loads(done.stdout)
    interface = interface_of(done.stdout)
    made = {(each.event.name, each.subscriber.text or each.subscriber.socket.canonical, each.expire_s)
            for each in interface.subscriptions}  # fmt: skip
    assert made == {(each["event"], each["socket"], each.get("expire_s", 0)) for each in tables["subscriptions"]}
    names = {event.name for event in interface.events}
    assert {each["name"] for each in tables["events"]} | {each["event"] for each in tables["subscriptions"]} <= names


@pytest.mark.parametrize(
    ("name", "event", "socket"),
    [
        ("residential", "E_PIKE_BLOCKED", "flatstore:/tmp/pike.log"),
        ("residential", "E_PIKE_BLOCKED", "rabbitmq:fail2ban@127.0.0.1/exchange=security?pike"),
        ("residential", "E_SCRIPT_MISSED_CALL", "udp:127.0.0.1:8081"),
        ("residential", "E_UL_CONTACT_INSERT", "tcp:127.0.0.1:9010/contact"),
        ("residential", "E_DLG_STATE_CHANGED", "udp:127.0.0.1:8082"),
        ("trunk", "E_DISPATCHER_STATUS", "virtual:FAILOVER tcp:127.0.0.1:9001 tcp:127.0.0.1:9002"),
        ("trunk", "E_TRUNK_FULL", "unix:/tmp/panel.sock"),
        ("old", "E_SCRIPT_CALL", "rabbitmq:guest@127.0.0.1/calls"),
        ("old", "E_SCRIPT_CALL", "tcp:127.0.0.1:8080/call"),
    ],
)
def test_subscribers_of_the_scripts(name, event, socket):
    """The subscribers that the scripts have are those of the interface."""
    found = {
        (each.event.name, each.subscriber.socket.canonical)
        for each in interface_of(command(f"{name}.cfg").stdout).subscriptions
    }
    assert (event, socket) in found


def test_what_is_said():
    """Each line that is left out is named with its file, its line and the reason, and so is the sum."""
    done = command("trunk.cfg")
    lines = done.stderr.splitlines()
    assert (
        "trunk.cfg:22: left out: subscribe_event \"E_TRUNK_FULL\": expected a port from 1 to 65535, got '70000'"
        in lines
    )
    assert "conf.d/modules.cfg:10: left out: plugins.stream.timeout_ms: expected 1 or more, got 0" in lines
    assert lines[-1] == "options: 5, events: 4, subscriptions: 5, routes: 0, left out: 15"
    assert len([line for line in lines if ": left out: " in line]) == 15
    assert "hunter2" not in done.stderr


def test_strict():
    """With --strict, what is left out makes the exit code 1; the configuration is written all the same."""
    assert command("trunk.cfg", "--strict", "-o", "trunk.new").exit_code == 1
    assert Path("trunk.new").read_text() == Path("trunk.toml").read_text()
    done = command("-", "--strict", text='loadmodule "pike.so" route { raise_event("E_A"); }')
    assert done.exit_code == 0
    assert tomllib.loads(done.stdout) == {"events": [{"name": "E_A"}]}
    assert done.stderr.splitlines()[0].startswith('<stdin>:1: note: loadmodule "pike": evframe-pike ')


async def test_written_routes():
    """The module with the routes that is written is what the configuration names, and keeps the script."""
    done = command("residential.cfg", "--write-routes", "residential_routes.py")
    assert done.exit_code == 0
    assert '    #     $var(ip6) = "[" + $param(ip) + "]";' in Path("residential_routes.py").read_text()
    assert tomllib.loads(done.stdout)["routes"]["E_PIKE_BLOCKED"] == "residential_routes:e_pike_blocked"
    only_routes = done.stdout[done.stdout.index("[routes]") :]
    async with interface_of(f'{only_routes}\n[plugins.mi-http]\nbind = "127.0.0.1:0"\n') as events:
        outcomes = await events.raise_event_and_wait("E_PIKE_BLOCKED", {"ip": "10.0.0.1"})
        assert [(str(each.socket), each.delivered) for each in outcomes] == [("route:E_PIKE_BLOCKED", False)]

    again = command("residential.cfg", "--write-routes", "residential_routes.py", "-o", "new.toml")
    assert again.exit_code == 1
    assert "File exists" in again.stderr
    assert not Path("new.toml").exists()


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (["none.cfg"], 1, "No such file or directory: 'none.cfg'"),
        (["old.cfg", "-o", "no/such/folder"], 1, "No such file or directory: 'no/such/folder'"),
        (["old.cfg", "--routes-module", "a b"], 2, "expected the name of a module, got 'a b'"),
    ],
)
def test_errors(words, code, text):
    """What the command cannot do is one clear line."""
    done = command(*words)
    assert done.exit_code == code
    assert text in done.stderr


def test_bridge():
    """With --bridge the instance of the script is bridged, its subscriptions are made here, and the interface has both."""
    done = command("residential.cfg", "--bridge", "--strict")
    assert done.exit_code == 0
    tables = tomllib.loads(done.stdout)
    assert [each["url"] for each in tables["plugins"]["opensips"]["instances"]] == ["http://127.0.0.1:8889/opensips_mi"]
    interface = interface_of(done.stdout)
    assert {each["event"] for each in tables["subscriptions"]} <= set(tables["plugins"]["opensips"]["events"])
    assert len(interface.subscriptions) == len(tables["subscriptions"]) == 5
    assert command("residential.cfg", "--bridge", "--write-routes", "routes_of_a_bridge.py").exit_code == 2


def test_templates_of_m4():
    """A template of m4 makes --strict exit with 1, and the line says what to do."""
    done = command("-", "--strict", text="changequote(`[', `]')\nloadmodule [tm.so]\n")
    assert done.exit_code == 1
    assert "m4 FILE | evframe import-opensips -" in done.stderr


def test_options_that_belong_together(folder):
    """An option that does not fit another one is left out, and the other one stays."""
    lines = ['modparam("event_flatstore", "delimiter", ";;")', 'modparam("event_flatstore", "escape_delimiter", "-")']
    (folder / "a.cfg").write_text("\n".join(lines))
    done = convert("a.cfg")
    assert [each.place.line for each in done.findings if each.left_out] == [2]
    assert tomllib.loads(done.toml) == {"plugins": {"flatstore": {"delimiter": ";;"}}}


def test_the_options_of_the_table_exist():
    """Every option of the table is one of its plugin."""
    interface = evframe.EventInterface()
    installed = {status.name for status in interface.plugin_status}
    checked = [each for each in PARAMETERS if each.option and MODULES[each.module].plugin in installed]
    assert len(checked) >= 15
    for each in checked:
        options = type(interface.plugin(MODULES[each.module].plugin)).Options
        assert each.option in attrs.fields_dict(options), each


_VALUES = [
    "0",
    "-1",
    "1",
    "yes",
    "off",
    "99999999999",
    '"uri=amqp://u:pw@h;queue=a;event=E_A"',
    '"uri=amqp://[;queue=a;event=E_A"',
    '"[a]uri=amqp://h;queue=b;event=E_A;ack;heartbeat=99999"',
    '"1"',
    '"udp:127.0.0.1:1"',
    '"a"',
    '""',
    "'\"'",
    '"$time(%Y)"',
]
_SOCKETS = ["udp:127.0.0.1:1", "udp:127.0.0.1:99999", "tcp:a", "flatstore:/tmp/a", "flatstore:a", "rabbitmq:a:b@c/", "virtual:",
            "virtual:FAILOVER udp:127.0.0.1:1 udp:127.0.0.1:2", "kafka:a:1/b", "xmlrpc:a:1:b", "unix:", "route:E_A",
            "rabbitmq:u:pw@h/x?k", "jsonrpc:a:1:m"]  # fmt: skip
_LINES = st.one_of(
    st.builds(lambda each, value: f'modparam("{each.module}", "{each.name}", {value})',
              st.sampled_from(PARAMETERS), st.sampled_from(_VALUES)),
    st.builds(lambda event, socket: f'startup_route {{ subscribe_event("{event}", "{socket}", 5); }}',
              st.sampled_from(["E_A", "E_B", "", "E" * 65]), st.sampled_from(_SOCKETS)),
    st.builds(lambda event: f'route {{ raise_event("{event}"); }}', st.sampled_from(["E_A", "", "E" * 65])),
)  # fmt: skip


@settings(max_examples=10, deadline=None)
@example(lines=['modparam("event_flatstore", "max_open_sockets", "uri=amqp://u:pw@h;queue=a;event=E_A")'], bridge=False)
@example(lines=['modparam("httpd", "ip", 0)'], bridge=True)
@example(lines=['modparam("httpd", "ip", "127.1")'], bridge=True)
@example(lines=['modparam("httpd", "ip", "sip.example.com")'], bridge=True)
@example(lines=['modparam("httpd", "ip", "192.0.2.1")'], bridge=True)
@given(st.lists(_LINES, max_size=20), st.booleans())
def test_what_stays_is_valid(tmp_path_factory, lines, bridge):
    """Whatever a script sets, the interface takes the configuration that is made from it."""
    script = tmp_path_factory.getbasetemp() / "valid.cfg"
    script.write_text("\n".join(['loadmodule "mi_http.so"', *lines]))
    done = convert(str(script), bridge=bridge)
    interface_of(done.toml)
    assert "pw" not in str(done.findings)
    assert not re.search(r"evframe check", str(done.findings))
