"""Paths with parameters of the event, on real files."""

import os

import pytest
from evframe_flatstore import FlatstoreTransport, Options
from evframe_mi import Management
from evframe_mi.testing import management

import evframe
from evframe.config import Config, parse_config
from evframe.testing import FakeClock, until


def interface(clock=None, **options):
    times = {} if clock is None else {"clock": clock}
    return evframe.EventInterface(
        Config(), plugins={"mi": Management(), "flatstore": FlatstoreTransport(Options(**options), **times)}
    )


def contents(folder):
    return {path.name: path.read_text() for path in folder.iterdir()}


async def raised(folder, name, *batch, **options):
    """Raise events at once to the file *name* in *folder*; return the counters of the subscriber."""
    async with interface(**options) as events:
        events.register_event("E")
        events.subscribe_event("E", f"flatstore:{folder}/{name}")
        for params in batch:
            events.raise_event("E", params)
        await until(lambda: not events.statistics[0].depth)
        return events.statistics[0]


async def test_each_event_is_in_the_file_that_it_names(tmp_path):
    """The lines of a batch are in the files of their parameters, each in order."""
    batch = [{"method": method, "n": n} for n, method in enumerate(("INVITE", "BYE", "INVITE", "BYE"))]
    counters = await raised(tmp_path, "{method}.log", *batch)
    assert contents(tmp_path) == {"INVITE.log": "E,INVITE,0\nE,INVITE,2\n", "BYE.log": "E,BYE,1\nE,BYE,3\n"}
    assert (counters.delivered, counters.failed) == (4, 0)
    assert counters.socket == f"flatstore:{tmp_path}/{{method}}.log"


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ("../../etc/passwd", "%2E.%2F..%2Fetc%2Fpasswd"),
        ("..", "%2E."),
        ("a/b", "a%2Fb"),
        ("a\0\n\x7f\x85", "a%00%0A%7F%C2%85"),
        ("%2F", "%252F"),
        (".hidden", "%2Ehidden"),
        ("a.b", "a.b"),
        ("é", "é"),
        (5, "5"),
        (True, "true"),
        ("{x}", "{x}"),
    ],
)
async def test_no_value_leaves_its_folder(tmp_path, value, name):
    """A slash, a control character, a percent sign and a leading dot of a value are encoded in the name."""
    folder = tmp_path / "root"
    folder.mkdir()
    counters = await raised(folder, "{v}", {"v": value})
    assert counters.delivered == 1
    assert os.listdir(folder) == [name]
    assert os.listdir(tmp_path) == ["root"]


@pytest.mark.parametrize(
    ("params", "reason"),
    [
        ({"other": 1}, "missing_parameter"),
        (None, "missing_parameter"),
        ({"v": None}, "missing_parameter"),
        ({"v": [1]}, "unfit_parameter"),
        ({"v": {"a": 1}}, "unfit_parameter"),
        ({"v": ""}, "unfit_parameter"),
        ({"v": "x" * 300}, "unfit_parameter"),
        ({"v": 10**5000}, "unfit_parameter"),
        ({"v": "é" * 130}, "unfit_parameter"),
    ],
)
async def test_an_event_without_a_file_fails_alone(tmp_path, params, reason):
    """An event whose parameter is missing, or makes no name, fails with its reason; the others are written."""
    counters = await raised(tmp_path, "{v}", {"v": "a"}, params, {"v": "b"})
    assert contents(tmp_path) == {"a": "E,a\n", "b": "E,b\n"}
    assert (counters.delivered, counters.reasons) == (2, {reason: 1})


async def test_the_number_of_open_files_is_bounded(tmp_path):
    """With more values than files may be open the one without lines for the longest time is closed; none is lost."""
    async with interface(max_open_files=3) as events:
        events.register_event("E")
        events.subscribe_event("E", f"flatstore:{tmp_path}/{{1}}")
        for value in (0, 1, 2, 0, 3, 4, 0, 5, 1):
            await events.raise_event_and_wait("E", [value])
        folder = f"{tmp_path}/"
        opened = {os.path.realpath(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd")}
        assert {path for path in opened if path.startswith(folder)} == {folder + name for name in "051"}
        events.unsubscribe_event("E", f"flatstore:{tmp_path}/{{1}}")
        await until(lambda: len(events.statistics) == 1)
        opened = {os.path.realpath(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd")}
        assert not {path for path in opened if path.startswith(folder)}
    assert contents(tmp_path) == {"0": "E,0\n" * 3, "1": "E,1\n" * 2, **{str(n): f"E,{n}\n" for n in (2, 3, 4, 5)}}


async def test_a_doubled_brace_is_a_brace(tmp_path):
    """`{{` in a path is a brace; a path without parameters is one file like any other, and shown as it was given."""
    async with interface() as events:
        events.register_event("E")
        lease = events.subscribe_event("E", f"flatstore:{tmp_path}/a{{{{b}}")
        await events.raise_event_and_wait("E", [1])
        assert lease.subscriber.socket.canonical == f"flatstore:{tmp_path}/a{{{{b}}"
        assert lease.subscriber.socket.template is None
    assert contents(tmp_path) == {"a{b}": "E,1\n"}


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("{", "expected a parameter in braces, or {{ for a brace"),
        ("{}", "expected a parameter in braces, or {{ for a brace"),
        ("{a", "expected a parameter in braces, or {{ for a brace"),
        ("{a}/b", "expected the option make_directories for a folder with a parameter"),
        ("{a}/../b", "expected no '..' behind a parameter"),
        ("none/{a}", "expected a path in a directory that exists"),
        ("{a}/", "expected the option make_directories for a folder with a parameter"),
    ],
)
def test_what_is_no_path(tmp_path, name, problem):
    """A path that could leave its folder, or braces that are no parameter, are refused when it is subscribed."""
    events = interface()
    events.register_event("E")
    with pytest.raises(evframe.SocketError) as caught:
        events.subscribe_event("E", f"flatstore:{tmp_path}/{name}")
    assert problem in str(caught.value)


def test_parameters_are_compared_with_the_declaration(tmp_path):
    """A parameter that a declared event lacks is an error of the subscription, which names those that it has."""
    events = interface()
    events.register_event("E_CALL", {"caller": str, "n": int})
    events.subscribe_event("E_CALL", f"flatstore:{tmp_path}/{{caller}}-{{2}}")
    for name in ("callee", "3", "0"):
        with pytest.raises(evframe.SocketError, match="of the event 'E_CALL', which are caller, n, got"):
            events.subscribe_event("E_CALL", f"flatstore:{tmp_path}/{{{name}}}")


def test_a_declaration_has_the_parameters_of_subscribers(tmp_path):
    """A declaration that comes after a subscription and lacks its parameter is refused, and nothing changes."""
    events = interface()
    number = events.register_event("E_CALL")
    events.subscribe_event("E_CALL", f"flatstore:{tmp_path}/{{caller}}")
    with pytest.raises(evframe.ParameterError, match="'E_CALL', parameter 'caller': expected it in the") as caught:
        events.register_event("E_CALL", {"n": int})
    text = f"flatstore:{tmp_path}/{{caller}}"
    assert str(caught.value).endswith(f"declaration, because the subscriber {text!r} has it, got n")
    assert next(event for event in events.events if event.name == "E_CALL").params is None
    assert events.register_event("E_CALL", {"caller": str}) == number
    assert events.register_event("E_CALL", {"n": int}) == number  # the first declaration stays


async def test_a_reload_whose_declaration_lacks_a_parameter_changes_nothing(tmp_path):
    """The error names the lease that was made at run time; a declaration with the parameter is taken."""
    file = tmp_path / "evframe.toml"

    def write(params):
        file.write_text(
            '[core]\nstate_path = ""\n[plugins]\ndisable = ["mi-http"]\n'
            f'[[events]]\nname = "E"\nparams = [{{ name = "{params}", type = "int" }}]\n'
        )

    file.write_text('[core]\nstate_path = ""\n[plugins]\ndisable = ["mi-http"]\n[[events]]\nname = "E"\n')
    async with evframe.EventInterface.from_toml(file) as events:
        socket = f"flatstore:{tmp_path}/{{n}}.log"
        events.subscribe_event("E", socket, 600)
        write("m")
        with pytest.raises(evframe.ConfigError) as caught:
            events.reload()
        assert caught.value.problems == [
            f"{file}: subscription of {socket!r} to 'E': expected a parameter of the event 'E', which are m, got 'n'"
        ]
        write("n")
        assert events.reload().events == ["E"]
        await events.raise_event_and_wait("E", {"n": 1})
    assert (tmp_path / "1.log").read_text() == "E,1\n"


async def test_folders_with_parameters(tmp_path):
    """With `make_directories` a folder may have a parameter."""
    await raised(tmp_path, "{host}/{m}.log", {"host": "a/b", "m": "X"}, {"host": "..", "m": "Y"}, make_directories=True)
    assert contents(tmp_path / "a%2Fb") == {"X.log": "E,a/b,X\n"}
    assert contents(tmp_path / "%2E.") == {"Y.log": "E,..,Y\n"}


async def test_a_link_out_of_the_folder_is_not_followed(tmp_path):
    """An event that names a link to a file elsewhere fails, and the file stays as it is."""
    folder = tmp_path / "root"
    folder.mkdir()
    (tmp_path / "secret").write_text("x\n")
    (folder / "link").symlink_to(tmp_path / "secret")
    counters = await raised(folder, "{v}", {"v": "link"}, {"v": "a"})
    assert (counters.delivered, counters.reasons) == (1, {"outside_root": 1})
    assert (tmp_path / "secret").read_text() == "x\n"


def folder(path):
    path.mkdir()


def link_to_itself(path):
    path.symlink_to(path.name)


def link_to_nothing(path):
    path.symlink_to("none/file")


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (folder, "is_directory"),
        (os.mkfifo, "no_reader"),
        (link_to_itself, "eloop"),
        (link_to_nothing, "no_directory"),
    ],
)
async def test_a_value_that_names_no_file_of_lines_holds_up_no_other(tmp_path, make, reason):
    """Any number of events whose value names a folder or a pipe fail; the events of other files are written."""
    make(tmp_path / "x")
    batch = FlatstoreTransport.limits.batch_events
    counters = await raised(tmp_path, "{v}", *[{"v": "x"}] * batch, {"v": "a"})
    assert (counters.delivered, counters.reasons) == (1, {reason: batch})
    assert (tmp_path / "a").read_text() == "E,a\n"


async def test_a_value_that_names_a_file_as_a_folder_holds_up_no_other(tmp_path):
    """A value that names a folder where a file is, or a path that is too long, fails its own event."""
    (tmp_path / "x").touch()
    values = [{"v": "x"}, {"v": "y" * 240}, {"v": "a"}]
    counters = await raised(tmp_path, "/".join(["{v}"] * 20), *values, make_directories=True)
    assert (counters.delivered, counters.reasons) == (1, {"no_directory": 1, "enametoolong": 1})


async def test_lines_wait_while_their_folder_is_away(tmp_path):
    """While the folder is missing the events wait; each line is written once it is back."""
    folder = tmp_path / "root"
    folder.mkdir()
    async with interface() as events:
        events.register_event("E")
        events.subscribe_event("E", f"flatstore:{folder}/{{v}}")
        folder.rename(tmp_path / "gone")
        events.raise_event("E", {"v": "a"})
        events.raise_event("E", {"v": "b"})
        await until(lambda: events.statistics[0].away)
        (tmp_path / "gone").rename(folder)
        await until(lambda: not events.statistics[0].depth)
        assert events.statistics[0].delivered == 2
    assert contents(folder) == {"a": "E,a\n", "b": "E,b\n"}


async def test_every_open_file_rotates(tmp_path):
    """The command rotates each file that is open, and each raises the event."""
    clock = FakeClock(1_795_397_618.0)
    async with interface(clock, suffix=".%s") as events:
        events.register_event("E")
        socket = f"{tmp_path}/{{v}}"
        events.subscribe_event("E", f"flatstore:{socket}")
        for value in "ab":
            await events.raise_event_and_wait("E", {"v": value})
        clock.advance(1)
        request = f'{{"jsonrpc":"2.0","id":1,"method":"evi_flat_rotate","params":["{socket}"]}}'
        assert b'"OK"' in management(events).handle(request.encode())
        await until(lambda: events.event("E_FLATSTORE_ROTATION").raised == 2)
        await events.raise_event_and_wait("E", {"v": "a"})
    assert contents(tmp_path) == {
        "a.1795397618": "E,a\n",
        "b.1795397618": "E,b\n",
        "a.1795397619": "E,a\n",
        "b.1795397619": "",
    }


@pytest.mark.parametrize("text", ["${env:WORD}", "{n}.${env:WORD}", "{${env:NAME}}", "virtual:FAILOVER x${env:WORD}"])
def test_a_value_of_a_reference_makes_no_parameter(tmp_path, monkeypatch, text):
    """A value with braces is one problem, which shows no part of it."""
    monkeypatch.setenv("WORD", "swordfish{caller}")
    monkeypatch.setenv("NAME", "swordfish")
    head, _, last = text.rpartition(" ")
    socket = f"{head} flatstore:{tmp_path}/{last}".strip()
    config = parse_config(f"[[events]]\nname = 'E'\n[[subscriptions]]\nevent = 'E'\nsocket = '{socket}'\n")
    with pytest.raises(evframe.ConfigError, match="expected a value without braces from ") as caught:
        evframe.EventInterface(config)
    assert "swordfish" not in str(caught.value)
    assert "caller" not in str(caught.value)


async def test_lines_before_a_link_out_of_the_folder_are_delivered(tmp_path):
    """A rotation in the middle of a batch that meets a link elsewhere fails the lines behind it alone."""
    folder = tmp_path / "root"
    folder.mkdir()
    clock = FakeClock(1_781_000_000.0)
    (folder / "a.1781000001").symlink_to(tmp_path / "elsewhere")
    async with interface(clock, suffix=".%s", rotate_count=2) as events:
        events.register_event("E")
        events.subscribe_event("E", f"flatstore:{folder}/{{v}}")
        await events.raise_event_and_wait("E", {"v": "a"})
        clock.advance(1)
        for _ in range(3):
            events.raise_event("E", {"v": "a"})
        await until(lambda: not events.statistics[0].depth)
        counters = events.statistics[0]
        assert (counters.delivered, counters.reasons) == (2, {"outside_root": 2})
        clock.advance(1)
        await events.raise_event_and_wait("E", {"v": "a"})
    assert (folder / "a.1781000000").read_text() == "E,a\n" * 2
    assert (folder / "a.1781000002").read_text() == "E,a\n"
    assert not (tmp_path / "elsewhere").exists()
