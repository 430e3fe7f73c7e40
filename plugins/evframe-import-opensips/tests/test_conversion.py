"""From a script to a configuration, whatever plugins are installed."""

import ast
import tomllib

import pytest
from evframe_import_opensips import convert
from evframe_import_opensips.document import value_text
from evframe_import_opensips.modules import FUNCTIONS, MODULES, PARAMETERS
from evframe_import_opensips.source_modules import SOURCE_MODULES
from evframe_import_opensips.statements import EventRoute, Route
from evframe_import_opensips.stubs import function_name, stub_module
from evframe_import_opensips.tokens import TOO_LARGE, Place
from hypothesis import given, settings
from hypothesis import strategies as st


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
        *(("event_stream", "reliable_mode", word, {"reliable_mode": True}) for word in ("yes", "on", "true", '"yes"')),
        *(("event_stream", "reliable_mode", word, {"reliable_mode": False}) for word in ("no", "off", "false")),
        ("pike", "sampling_time_unit", "5", {"sampling_time_unit_s": 5}),
        ("dispatcher", "options_reply_codes", '"501,403"', {"options_reply_codes": "501,403"}),
        ("load_balancer", "probing_interval", "60", {"probing_interval_s": 60}),
        ("usrloc", "contact_refresh_timer", "true", {"contact_refresh_timer": True}),
        ("dialog", "default_timeout", "3600", {"default_timeout_s": 3600}),
        ("fraud_detection", "use_utc_time", "1", {"use_utc_time": True}),
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


def test_names_of_queues(converted):
    """A parameter that may be set several times is a list; a socket may have such a name."""
    url = "https://sqs.us-west-2.amazonaws.com/123456789012"
    tables, said = converted(f"""
        loadmodule "event_sqs.so"
        modparam("event_sqs", "queue_url", "[one]{url}/a")
        modparam("event_sqs", "queue_url", "[two]{url}/b")
    """)
    assert tables == {"plugins": {"sqs": {"queue_url": [f"[one]{url}/a", f"[two]{url}/b"]}}}
    assert said == []


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
        modparam("tm|event_stream|event_virtual", "timeout", 7)
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
        ('modparam("mi_new", "a", 1)', 'modparam "mi_new" "a": no module of this name is known'),
        (
            'modparam("event_stream", "timeout", "1")',
            'modparam "event_stream" "timeout": expected a number, got \'1\'',
        ),
        (
            'modparam("event_stream", "timeout", later)',
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


@pytest.mark.parametrize(
    ("written", "socket"),
    [
        ("rabbitmq:u:pw@rabbit/opensips?contacts", "rabbitmq:u:pw@rabbit/exchange=opensips?contacts"),
        ("rabbitmq:rabbit:5673/a.b?c?d", "rabbitmq:rabbit:5673/exchange=a.b?c?d"),
        ("rabbitmq:rabbit/exchange=a?c", "rabbitmq:rabbit/exchange=a?c"),
        ("rabbitmq:rabbit/persistent?c", "rabbitmq:rabbit/persistent?c"),
        ("rabbitmq:rabbit/c", "rabbitmq:rabbit/c"),
        ("jsonrpc:127.0.0.1:8080:block_ip", "tcp:127.0.0.1:8080/block_ip"),
        ("jsonrpc:[::1]:8080:a/b", "tcp:[::1]:8080/a/b"),
        ("jsonrpc:127.0.0.1:8080", "tcp:127.0.0.1:8080"),
        ("virtual:FAILOVER jsonrpc:a:1:m rabbitmq:h/x?k", "virtual:FAILOVER tcp:a:1/m rabbitmq:h/exchange=x?k"),
    ],
)
def test_sockets_of_earlier_versions(converted, written, socket):
    """A socket that an earlier version wrote otherwise is written as now, which is said without its password."""
    tables, said = converted(f'startup_route {{ subscribe_event("E_A", "{written}"); }}')
    assert [each["socket"] for each in tables["subscriptions"]] == [socket]
    assert bool(said) is (written != socket)
    assert "pw" not in "".join(said)


@pytest.mark.parametrize(
    "template",
    [
        "ifelse(`X',`yes',`socket=udp:127.0.0.1:9060')",
        "changequote(`[', `]')",
        "dnl it's a comment",
        "define(`PORT', `5060')",
        "include(`common.m4')",
    ],
)
def test_templates(converted, template):
    """A template of m4 is named as one, because what m4 makes of it is another text."""
    _, said = converted(f'loadmodule "tm.so"\n{template}\nloadmodule "mi_http.so"\n{template}')
    assert [line for line in said if "m4 FILE | evframe import-opensips -" in line] == [
        line for line in said if " of m4" in line
    ]
    assert len([line for line in said if " of m4" in line]) == 1
    assert said[0].startswith("-2 ")


@pytest.mark.parametrize(
    ("written", "socket"),
    [
        ("flatstore:/var/log/a {b}.log", "flatstore:/var/log/a {{b}.log"),
        ("rabbitmq:u:p{w@h/calls.{caller}", "rabbitmq:u:p{w@h/calls.{{caller}"),
        ("rabbitmq:u:p@h/exchange=e{x?k%7Bey", "rabbitmq:u:p@h/exchange=e{x?k%7B%7Bey"),
        (
            "virtual:FAILOVER rabbitmq:h/{a} udp:h:9 flatstore:/{b}",
            "virtual:FAILOVER rabbitmq:h/{{a} udp:h:9 flatstore:/{{b}",
        ),
        ("xmlrpc:h:80/{a}:m", "xmlrpc:h:80/{a}:m"),
    ],
)
def test_a_brace_stays_a_brace(converted, written, socket):
    """A path or a routing key with braces is what it was, for which each opening one is doubled."""
    tables, _ = converted(f'startup_route {{ subscribe_event("E_A", "{written}"); }}')
    assert [each["socket"] for each in tables["subscriptions"]] == [socket]


def test_no_template(converted):
    """A script that only looks like a template of m4 is none."""
    _, said = converted(
        '# dnl\nloadmodule "tm.so" // define(`a\', `b\')\nroute { define = 1; xlog("include(x) dnl"); }'
    )
    assert said == []


def test_queues_that_are_consumed(converted):
    """Each queue becomes a connection with the timeouts of the module, whose messages are acknowledged as there."""
    tables, said = converted("""
        modparam("rabbitmq_consumer", "retry_timeout", 700)
        modparam("rabbitmq_consumer", "connection_id", "[q1] uri = amqp://u:pw@127.0.0.1; queue = calls; event = E_CALLS; ack")
        modparam("rabbitmq_consumer", "connection_id", "uri=amqp://h; Queue=calls; event=E_B; exclusive; heartbeat=5; frame_max=9")
        modparam("rabbitmq_consumer", "connection_id", "uri=amqp://h; queue=calls; event=E_C;")
        modparam("rabbitmq_consumer", "connect_timeout", 300)
        modparam("rabbitmq_consumer", "connection_id", "uri=amqp://u:pw@h; queue=calls")
        modparam("rabbitmq_consumer", "connection_id", "uri=amqp://u:pw@h; pw2=calls")
        modparam("rabbitmq_consumer", "use_tls", 1)
    """)
    both = {"connect_timeout_ms": 300, "retry_timeout_ms": 700, "events": [], "queue": "calls"}
    assert tables["plugins"] == {
        "rabbitmq-consumer": {
            "connections": [
                both | {"name": "q1", "uri": "amqp://u:pw@127.0.0.1", "event": "E_CALLS"},
                both | {"uri": "amqp://h", "event": "E_B", "ack": "at_once", "exclusive": True, "heartbeat_s": 5},
                both | {"name": "calls-2", "uri": "amqp://h", "event": "E_C", "ack": "at_once"},
            ]
        }
    }
    what = 'modparam "rabbitmq_consumer"'
    assert said == [
        f'-4 {what} "connection_id": frame_max: the broker and the library agree on a size',
        f'-7 {what} "connection_id": expected uri=…; queue=…; event=…, got no event',
        f'-8 {what} "connection_id": expected keys of uri, queue, event, ack, exclusive, frame_max, heartbeat, tls_domain, got another one',
        f'-9 {what} "use_tls": amqps in the uri is enough',
    ]


def test_each_parameter_of_a_source_is_converted_or_named(converted):
    """A parameter of a module that has a package here becomes an option, or its line is named with the reason."""
    named = [each for each in PARAMETERS if each.module in SOURCE_MODULES and each.option is None]
    lines = [f'modparam("{each.module}", "{each.name}", 1)' for each in named]
    _, said = converted("\n".join([*lines, 'modparam("pike", "no_such", 1)']))
    assert [line.split()[0] for line in said] == [f"-{number}" for number in range(1, len(named) + 2)]
    assert said[-1].endswith("no parameter of this name is known")


def test_bridge(converted):
    """With OpenSIPS kept, its sockets are subscribed here, and its events come from its management interface."""
    tables, said = converted(
        """
        loadmodule "httpd.so" modparam("httpd", "ip", "10.0.0.7") modparam("httpd", "port", 8889)
        loadmodule "mi_http.so" modparam("mi_http", "root", "json")
        loadmodule "event_stream.so" modparam("event_stream", "reliable_mode", yes)
        loadmodule "pike.so" modparam("pike", "check_route", "x")
        startup_route { subscribe_event("E_PIKE_BLOCKED", "tcp:127.0.0.1:9000"); }
        event_route[E_PIKE_BLOCKED] { raise_event("E_MINE[1]"); }
        route { raise_event("E_MINE[1]"); }
        """,
        bridge=True,
    )
    assert tables == {
        "plugins": {
            "opensips": {
                "events": ["E_PIKE_BLOCKED", "E_MINE[[]1]"],
                "listen": "10.0.0.7",
                "instances": [{"name": "opensips", "url": "http://10.0.0.7:8889/json", "transport": "tcp"}],
            },
            "mi-http": {"bind": "127.0.0.1:8890"},
            "stream": {"reliable_mode": True},
        },
        "subscriptions": [{"event": "E_PIKE_BLOCKED", "socket": "tcp:127.0.0.1:9000"}],
    }
    assert said == ['+6 subscribe_event "E_PIKE_BLOCKED": take it out of the script; otherwise the subscriber gets two']


@pytest.mark.parametrize(
    ("text", "instance", "missing"),
    [
        ('loadmodule "mi_http.so"\nloadmodule "event_datagram.so"', {"url": "http://127.0.0.1:8888/mi"}, 0),
        (
            'loadmodule "mi_datagram.so"\nmodparam("mi_datagram", "socket_name", "udp:127.0.0.1:80")\nloadmodule "event_datagram.so"',
            {"url": "udp://127.0.0.1:80"},
            0,
        ),
        ('loadmodule "mi_fifo.so"\nloadmodule "event_datagram.so"', {"url": "fifo:///tmp/opensips_fifo"}, 0),
        ('loadmodule "mi_fifo.so"', {"url": "fifo:///tmp/opensips_fifo"}, 1),
        ("", {"url": "http://127.0.0.1:8888/mi"}, 2),
    ],
)
def test_where_the_instance_of_a_bridge_is(converted, text, instance, missing):
    """The instance is reached where the script has it managed; what the script lacks for a bridge is named."""
    tables, said = converted(text, bridge=True)
    assert tables["plugins"]["opensips"]["instances"] == [{"name": "opensips", "transport": "udp"} | instance]
    assert len(said) == missing


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
        route[x] { subscribe_event("E_A", "route:E_A"); subscribe_event("E_A", "nowhere:a"); }
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
        "-11 no plugin has the scheme 'nowhere'",
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
