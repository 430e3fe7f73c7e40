"""From a script to a configuration, whatever plugins are installed."""

import ast
import tomllib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evframe.importing import convert
from evframe.importing.document import value_text
from evframe.importing.modules import FUNCTIONS, MODULES, PARAMETERS
from evframe.importing.statements import EventRoute, Route
from evframe.importing.stubs import function_name, stub_module
from evframe.importing.tokens import TOO_LARGE, Place


@pytest.fixture
def converted(tmp_path):
    """Return the tables that a script becomes, and what was said with its line: `-` left out, `+` different."""

    def convert_text(text, **options):
        script = tmp_path / "a.cfg"
        script.write_text(text)
        done = convert(str(script), **options)
        found = [each for each in done.findings if "not installed here" not in each.reason]
        said = [f"{'-' if each.left_out else '+'}{each.place.line} {each.text}" for each in found]
        return tomllib.loads(done.toml), said

    return convert_text


@pytest.mark.parametrize(
    ("module", "name", "value", "option"),
    [
        ("event_stream", "timeout", "1500", {"timeout_ms": 1500}),
        ("event_stream", "reliable_mode", "2", {"reliable_mode": True}),
        ("event_stream", "reliable_mode", "0", {"reliable_mode": False}),
        ("event_stream", "event_param", "'ev'", {"event_param": "ev"}),
        ("event_jsonrpc", "sync_mode", "1", {"reliable_mode": True}),
        ("event_flatstore", "delimiter", r'"\t\"\\"', {"delimiter": '\t"\\'}),
        ("event_flatstore", "file_permissions", '"640"', {"file_permissions": "640"}),
        ("event_flatstore", "rotate_period", "0x0A", {"rotate_period_s": 10}),
        ("event_flatstore", "rotate_count", '"12 lines"', {"rotate_count": 12}),
        ("event_flatstore", "rotate_size", '"64m"', {"rotate_size": "64m"}),
        ("event_flatstore", "suffix", '"$time(.%Y)-100%-$$"', {"suffix": ".%Y-100%%-$"}),
        ("event_rabbitmq", "heartbeat", "3", {"heartbeat_s": 3}),
        ("event_virtual", "failover_timeout", "9", {"failover_timeout_s": 9}),
        ("mi_datagram", "unix_socket_mode", "0600", {"unix_socket_mode": "600"}),
        ("mi_datagram", "unix_socket_user", "0", {"unix_socket_user": 0}),
    ],
)
def test_parameters(converted, module, name, value, option):
    """A parameter becomes the option that does the same, with the type and the unit that it has here."""
    tables, said = converted(f'modparam("{module}", "{name}", {value})')
    assert tables == {"plugins": {MODULES[module].plugin: option}}
    assert said == []


@pytest.mark.parametrize(
    ("text", "bind"),
    [
        ("", "127.0.0.1:8888"),
        ('modparam("httpd", "port", 80)', "127.0.0.1:80"),
        ('modparam("httpd", "ip", "127.0.0.2") modparam("httpd", "port", 80)', "127.0.0.2:80"),
        ('modparam("httpd", "port", 80) modparam("httpd", "ip", "::1")', "[::1]:80"),
        ('modparam("httpd", "ip", "10.0.0.1") modparam("httpd", "port", 80)', "127.0.0.1:80"),
        ('modparam("httpd", "ip", "*")', "127.0.0.1:8888"),
    ],
)
def test_where_the_interface_listens(converted, text, bind):
    """Host and port are one option, and what others could reach without a token is left out."""
    tables, said = converted(f'{text} loadmodule "mi_http.so" modparam("mi_http", "root", "a/b")')
    assert tables == {"plugins": {"mi-http": {"bind": bind, "path": "/a/b"}}}
    assert [line for line in said if "expected a loopback address" in line] == said
    assert bool(said) is ('"ip", "10' in text or "*" in text)


def test_a_password_is_no_option(converted):
    """The password of the management interface is not copied, and what to do instead is said."""
    tables, said = converted('loadmodule "mi_http.so"\nmodparam("httpd", "auth_password", "s3cret")')
    assert tables == {"plugins": {"mi-http": {"bind": "127.0.0.1:8888"}}}
    assert said == ['-2 modparam "httpd" "auth_password": name a file that others cannot read, with the password']


def test_several_modules_at_once(converted):
    """One modparam is for each of its modules, and a pattern for those that are loaded."""
    tables, said = converted("""
        loadmodule "mi_fifo.so"
        loadmodule "mi_datagram.so"
        modparam("mi_.*", "pretty_printing", 1)
        modparam("usrloc|event_stream|event_virtual", "timeout", 7)
    """)
    assert tables["plugins"] == {
        "mi-fifo": {"fifo_name": "/tmp/opensips_fifo", "pretty_printing": True},
        "mi-datagram": {"pretty_printing": True},
        "stream": {"timeout_ms": 7},
    }
    assert said == ['-5 modparam "event_virtual" "timeout": no parameter of this name is known']


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('loadmodule "event_new.so"', 'loadmodule "event_new": no module of this name is known'),
        ('loadmodule "event_sqs.so"', 'loadmodule "event_sqs": no plugin sends to Amazon SQS'),
        ('modparam("mi_new", "a", 1)', 'modparam "mi_new" "a": no module of this name is known'),
        (
            'modparam("event_stream", "timeout", "1")',
            'modparam "event_stream" "timeout": expected a number, got \'1\'',
        ),
        (
            'modparam("event_stream", "timeout", on)',
            'modparam "event_stream" "timeout": expected a number, or a text in quotation marks',
        ),
        (
            'modparam("event_flatstore", "suffix", "$ru")',
            'modparam "event_flatstore" "suffix": expected no variable but $time(format), got \'$ru\'',
        ),
        ("tcp_threshold = 5", None),
        ('route { raise_event("E_$var(x)"); }', "raise_event(): expected the name of an event, not what computes it"),
        ('route { subscribe_event("E_A", $avp(s)); }', None),
        ('event_route { xlog("a"); }', "event_route: expected the name of an event in brackets"),
        *((f'route {{ {name}("E_A"); }}', f"{name}(): {here}") for name, here in FUNCTIONS.items()),
    ],
)
def test_what_is_left_out(converted, text, said):
    """What has no place here is named with its line and the reason."""
    tables, found = converted(f"\n{text}")
    assert not tables.get("plugins")
    assert len(found) == 1
    assert found[0].startswith("-2 ")
    assert said is None or found == [f"-2 {said}"]


def test_sources(converted):
    """Modules that raise events are named with the package that does so here; all others are not of interest."""
    tables, said = converted('loadmodule "load_balancer.so"\nloadmodule "tm.so"\nloadmodule "/opt/modules/pike.so"')
    assert tables == {}
    assert said == [
        '+1 loadmodule "load_balancer": evframe-load-balancer takes its place; evframe-opensips attaches a live OpenSIPS',
        '+3 loadmodule "pike": evframe-pike takes its place; evframe-opensips attaches a live OpenSIPS',
    ]


def test_events(converted):
    """What is raised, or has a route, is registered; what is only subscribed to is so by its subscription."""
    tables, _ = converted("""
        startup_route { subscribe_event("E_A", "udp:127.0.0.1:1"); subscribe_event("E_B", "udp:127.0.0.1:1"); }
        route { raise_event("E_B"); raise_event("E_$$", , $avp(v)); raise_event("E_B"); }
        event_route[E_C] { raise_event('E_D'); }
    """)
    assert [event["name"] for event in tables["events"]] == ["E_B", "E_$", "E_D", "E_C"]
    assert [each["event"] for each in tables["subscriptions"]] == ["E_A", "E_B"]


def test_subscriptions(converted):
    """Subscriptions of the start keep their leases; those of other routes have none, and that is said."""
    tables, said = converted("""
        startup_route {
            subscribe_event("E_A", "udp:127.0.0.1:1");
            subscribe_event("E_A", "udp:127.0.0.1:2", 60);
            subscribe_event("E_A", 'udp:127.0.0.1:3', "60");
            if ($var(x)) { subscribe_event("E_A", "udp:127.0.0.1:4"); }
            subscribe_event("E_A", "udp:127.0.0.1:5", $var(x));
            subscribe_event("E_A", "udp:127.0.0.1:2");
        }
        timer_route[keep, 30] { subscribe_event("E_A", "udp:127.0.0.1:6", 60); }
        route[x] { subscribe_event("E_A", "route:E_A"); subscribe_event("E_A", "sqs:https://a"); }
    """)
    assert [(each["socket"][-1], each.get("expire_s")) for each in tables["subscriptions"]] == [
        ("1", None),
        ("2", None),
        ("3", 60),
        ("4", None),
        ("5", None),
        ("6", None),
    ]
    assert [line.replace(' subscribe_event "E_A":', "") for line in said] == [
        "+6 made under a condition; here always",
        "+7 expected the seconds of its lease; here without an end",
        f"+8 the same subscription as in {said[2].rpartition(' ')[2]}",
        "+10 made in timer_route[keep, 30]; here from the start on, and without an end",
        "+11 made in route[x]; here from the start on, and without an end",
        "-11 name a Python callable in [routes]",
        "+11 made in route[x]; here from the start on, and without an end",
        "-11 no plugin has the scheme 'sqs'",
    ]


def test_event_routes(converted):
    """Without a module the routes are comments; with one they name its functions, each another one."""
    text = "event_route[E_A-B] { }\nevent_route[E_A_B] { }\nevent_route[1] { }"
    tables, said = converted(text)
    assert "routes" not in tables
    assert [line[:2] for line in said] == ["-1", "-2", "-3"]

    tables, said = converted(text, routes_module="shop.routes")
    assert tables["routes"] == {
        "E_A-B": "shop.routes:e_a_b",
        "E_A_B": "shop.routes:e_a_b_",
        "1": "shop.routes:_1",
    }
    assert said[0] == "+1 event_route[E_A-B]: its body is script: write shop.routes:e_a_b in Python"


@settings(deadline=None)
@given(st.dictionaries(st.text(), st.text(), max_size=5))
def test_stub_modules(bodies):
    """Whatever routes are called and hold, the module that is to be written is Python, with a function for each."""
    place = Place("a\n.cfg", 1)
    routes = {name: EventRoute(Route(place, "event_route", (name,)), body) for name, body in bodies.items()}
    functions = [each.name for each in ast.parse(stub_module("a\\.cfg", routes)).body if hasattr(each, "args")]
    assert functions == [function_name(name, routes) for name in routes]
    assert len(set(functions)) == len(routes)


_WORDS = [
    "route", "event_route", "startup_route", "[E_A]", "{", "}", "(", ")", ",", ";", "=", "-", "\n", '"', "/*", "#",
    '"E_A"', '"udp:127.0.0.1:1"', '"udp:x"', '"tcp:127.0.0.1:99999"', "7", "0", "$avp(x)", "include_file",
    "raise_event(", "subscribe_event(", "modparam(", "loadmodule", "mi(", "tcp_threshold",
    *(f'"{name}"' for name in MODULES), *(f'modparam("{each.module}", "{each.name}",' for each in PARAMETERS),
]  # fmt: skip


@settings(max_examples=25, deadline=None)
@given(
    st.one_of(st.binary(), st.lists(st.sampled_from(_WORDS), max_size=200).map(lambda some: " ".join(some).encode()))
)
def test_any_script(tmp_path_factory, data):
    """Whatever is in a file, there is a configuration, and as many lines about it as it says."""
    script = tmp_path_factory.getbasetemp() / "any.cfg"
    script.write_bytes(data)
    done = convert(str(script), routes_module="routes")
    tomllib.loads(done.toml)
    assert done.summary.endswith(f"left out: {sum(each.left_out for each in done.findings)}")
    assert all(str(each).isprintable() for each in done.findings)


def test_bytes_that_are_no_text(tmp_path):
    """What is no UTF-8 is left out with its line, and the rest stays."""
    script = tmp_path / "a.cfg"
    script.write_bytes(
        b'route { raise_event("E_\xff");\nraise_event("E_\xc3\xa9"); subscribe_event("E_A", "unix:/\xff"); }'
    )
    done = convert(str(script))
    assert tomllib.loads(done.toml) == {"events": [{"name": "E_é"}, {"name": "E_A"}]}
    assert [each.place.line for each in done.findings if each.left_out] == [1, 2]


@settings(deadline=None)
@given(
    st.one_of(st.text(st.characters(exclude_categories=["Cs"])), st.integers(-TOO_LARGE, TOO_LARGE - 1), st.booleans())
)
def test_values_come_back(value):
    """A text, a number or a switch is the same when the TOML is read."""
    assert tomllib.loads(f"a = {value_text(value)}") == {"a": value}


def test_large_scripts(tmp_path):
    """Thousands of statements are converted in one go."""
    script = tmp_path / "a.cfg"
    calls = [f'subscribe_event("E_{number}", "udp:127.0.0.1:{1 + number % 65000}");' for number in range(1000)]
    script.write_text("startup_route {\n" + "\n".join(calls) + "\n}\n" + 'xlog("a");\n' * 20_000)
    assert len(tomllib.loads(convert(str(script)).toml)["subscriptions"]) == 1000


def test_the_table():
    """Each parameter is of a known module and stands once, and says what to do where nothing is converted."""
    names = [(each.module, each.name) for each in PARAMETERS]
    assert len(set(names)) == len(names)
    assert {each.module for each in PARAMETERS} <= MODULES.keys()
    for each in PARAMETERS:
        if each.convert is not None:
            assert each.option is not None
            assert MODULES[each.module].plugin is not None
        else:
            assert each.note
    assert all(module.note for module in MODULES.values() if module.plugin is None)
