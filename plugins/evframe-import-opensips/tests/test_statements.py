"""The statements of a script, and the files that it includes."""

import pytest
from evframe_import_opensips.findings import Findings
from evframe_import_opensips.sources import DEEPEST, LARGEST_BYTES, Sources
from evframe_import_opensips.statements import Call, EventRoute, Script
from evframe_import_opensips.tokens import Source, UnendedError, tokenize
from hypothesis import given, settings
from hypothesis import strategies as st

NAMES = frozenset({"subscribe_event", "raise_event", "wait_for_event", "event_shm_threshold"})


def statements(text, findings=None):
    findings = Findings() if findings is None else findings
    return list(Script(tokenize(Source("a.cfg", text)), NAMES, findings).statements())


def test_modules():
    """Modules, their parameters and those of the core are found with their lines."""
    found = statements("""
        loadmodule "event_stream.so"
        loadmodule '/opt/modules/pike.so'
        modparam("event_stream", "timeout", 1000)
        modparam("mi_http|mi_html",
            "root", "$mi")  # over two lines
        modparam("a", "b", -1) modparam("a", "b", on) modparam("a", "b", later)
        event_shm_threshold = 80
    """)
    assert [(call.name, call.arguments, call.place.line) for call in found] == [
        ("loadmodule", ("event_stream.so",), 2),
        ("loadmodule", ("/opt/modules/pike.so",), 3),
        ("modparam", ("event_stream", "timeout", 1000), 4),
        ("modparam", ("mi_http|mi_html", "root", "$mi"), 5),
        ("modparam", ("a", "b", -1), 7),
        ("modparam", ("a", "b", 1), 7),
        ("modparam", ("a", "b", None), 7),
        ("event_shm_threshold", (), 8),
    ]


def test_calls():
    """Calls are found wherever they stand in a route, with the route and whether they are under a condition."""
    calls = statements("""
        startup_route { subscribe_event("E_A", "udp:127.0.0.1:1"); }
        timer_route[keep it, 30] { if (!subscribe_event('E_B', "tcp:127.0.0.1:1/m", 60)) { raise_event("E_C"); } }
        onreply_route { async(wait_for_event("E_D", $avp(f), 5), next); route(raise_event); }
        route[raise_event] { raise_event("E_E", , $avp(v)); raise_event("E_$var(x)"); raise_event("E_$$"); }
    """)
    assert [(str(call.route), [*call.arguments], call.conditional) for call in calls] == [
        ("startup_route", ["E_A", "udp:127.0.0.1:1"], False),
        ("timer_route[keepit, 30]", ["E_B", "tcp:127.0.0.1:1/m", 60], False),
        ("timer_route[keepit, 30]", ["E_C"], True),
        ("onreply_route", ["E_D", None, 5], False),
        ("route[raise_event]", ["E_E", None, None], False),
        ("route[raise_event]", [None], False),
        ("route[raise_event]", ["E_$"], False),
    ]


def test_event_routes():
    """An event route has its name and its body as it is written."""
    body = '\n  # a } brace\n  if ($(param(ip){s.len}) > 3) { xlog("}"); }\n'
    first, second, third = statements(f"event_route[E_A] {{{body}}} event_route['E_B', sync]{{}}event_route{{}}")
    assert isinstance(first, EventRoute)
    assert (first.route.name, first.body) == ("E_A", body)
    assert (second.route.name, str(second.route)) == ("E_B", "event_route[E_B, sync]")
    assert third.route.name == ""


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("loadmodule event_stream", "loadmodule"),
        ('modparam("a", "b")', "modparam"),
        ('modparam("a", "b", 1', "modparam"),
        ('route { raise_event("E_A"; }', "raise_event"),
        ('event_route[E_A] { raise_event("E_B");', "event_route[E_A]"),
    ],
)
def test_what_has_no_sense(text, what):
    """What cannot be understood is named with its line, and the rest is read."""
    findings = Findings()
    statements(text, findings)
    assert [(finding.what, finding.place.line) for finding in findings] == [(what, 1)]


@settings(deadline=None)
@given(
    st.lists(
        st.sampled_from([
            "route", "event_route", "[", "]", "{", "}", "(", ")", ",", ";", "=", '"E_A"', "7", "-", "$avp(x)",
            "raise_event", "subscribe_event", "modparam", "loadmodule", "event_shm_threshold", "if", "/*", '"', "\n",
        ])
    )
)  # fmt: skip
def test_any_order(words):
    """Whatever the order of words, there is an end, and each statement is whole."""
    try:
        for statement in statements(" ".join(words)):
            if isinstance(statement, Call):
                assert statement.name in NAMES | {"loadmodule", "modparam"}
    except UnendedError:
        pass


def words(path, findings=None):
    return [token.value for token in Sources(Findings() if findings is None else findings).tokens(str(path))]


def test_includes(tmp_path, monkeypatch):
    """Files are included in their places: from the working directory, else from beside the one that includes them."""
    (tmp_path / "conf").mkdir()
    (tmp_path / "a.cfg").write_text('a include_file "conf/b.cfg" z import_file "conf/missing.cfg"')
    (tmp_path / "conf" / "b.cfg").write_text("b1 include_file 'c.cfg' b2")
    (tmp_path / "conf" / "c.cfg").write_text("beside")
    assert words(tmp_path / "a.cfg") == ["a", "b1", "beside", "b2", "z"]
    monkeypatch.chdir(tmp_path)
    (tmp_path / "c.cfg").write_text("here")
    assert words("a.cfg") == ["a", "b1", "here", "b2", "z"]


def test_includes_that_fail(tmp_path):
    """A file that is missing, includes itself, or has no end is named, and the rest is read."""
    findings = Findings()
    script = tmp_path / "a.cfg"
    script.write_text(f'a\ninclude_file "none.cfg"\ninclude_file "{script}"\ninclude_file "open.cfg"\nz')
    (tmp_path / "open.cfg").write_text('b\n"c')
    assert words(script, findings) == ["a", "b", "z"]
    assert [(finding.place.file.rpartition("/")[2], finding.place.line) for finding in findings] == [
        ("a.cfg", 2),
        ("a.cfg", 3),
        ("open.cfg", 2),
    ]


def test_includes_are_bounded(tmp_path):
    """Files in files, and all of them together, have a bound."""
    findings = Findings()
    for number in range(DEEPEST + 5):
        (tmp_path / f"{number}.cfg").write_text(f'{number}x include_file "{number + 1}.cfg"')
    assert len(words(tmp_path / "0.cfg", findings)) == DEEPEST
    assert len(findings) == 1
    (tmp_path / "large.cfg").write_bytes(b" " * (LARGEST_BYTES + 1))
    with pytest.raises(OSError, match="expected at most"):
        words(tmp_path / "large.cfg")
