"""Files that include others, and settings over them."""

import os

import pytest
from evframe_options import Setting, layers_of, read_layers


@pytest.fixture
def read(tmp_path):
    """Write files, and read the first; the folder of the files is no part of what is returned."""

    def read(*settings, **files):
        for name, text in files.items():
            path = tmp_path / name.replace("__", "/").replace("_toml", ".toml")
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
        layers = read_layers(tmp_path / "main.toml", [Setting.parse(each) for each in settings])
        layers.short = [each.replace(f"{tmp_path}/", "") for each in layers.problems]
        layers.names = [each.replace(f"{tmp_path}/", "") for each in layers.files]
        layers.place = lambda problem: layers.placed([problem])[0].replace(f"{tmp_path}/", "")
        return layers

    return read


def test_files_together(read):
    """Tables are joined at every depth, arrays of tables follow each other, and the files come in their order."""
    layers = read(
        main_toml='include = ["conf/*.toml"]\n[core]\na = 1\n[[events]]\nname = "A"\n[plugins.x]\ny = 1\n',
        conf__20_toml='[[events]]\nname = "C"\n[[events]]\nname = "D"\n[plugins.x.deep]\nz = 2\n',
        conf__10_toml='[core]\nb = 2\n[[events]]\nname = "B"\n',
    )
    assert layers.problems == []
    assert layers.names == ["main.toml", "conf/10.toml", "conf/20.toml"]
    assert layers.tables == {
        "core": {"a": 1, "b": 2},
        "events": [{"name": "A"}, {"name": "B"}, {"name": "C"}, {"name": "D"}],
        "plugins": {"x": {"y": 1, "deep": {"z": 2}}},
    }
    assert layers.place("core.b: no") == "conf/10.toml:2: core.b: no"
    assert layers.place("events[3].name: no") == "conf/20.toml:4: events[3].name: no"
    assert layers.place("events[2].size: no") == "conf/20.toml:1: events[2].size: no"
    assert layers.place("plugins.x: unknown key 'y', no") == "main.toml:7: plugins.x: unknown key 'y', no"
    assert layers.place("other.b: no") == "main.toml: other.b: no"


@pytest.mark.parametrize(
    ("text", "path", "line"),
    [
        ("[core]\n\na = 1\n", "core.a", 3),  # the same value, too
        ("core = 1\n", "core", 1),
        ("list = [2]\n", "list", 1),
        ('list = [{ a = "x" }]\n', "list", 1),
        ("empty = [{}]\n", "empty", 1),
    ],
)
def test_a_key_in_two_files(read, text, path, line):
    """A key that two files have is a problem that names both places, and no value."""
    layers = read(main_toml='include = ["b.toml"]\nlist = [1]\nempty = []\n[core]\na = 1\n', b_toml=text)
    first = {"core": 4, "core.a": 5, "list": 2, "empty": 3}[path]
    expected = f"expected a key that no other file has, got that of main.toml:{first}"
    assert layers.short == [f"b.toml:{line}: {path}: {expected}"]
    assert layers.tables == {"list": [1], "empty": [], "core": {"a": 1}}
    assert layers.placed(layers.problems) == layers.problems


def test_each_pattern(read, tmp_path):
    """Patterns are relative to the file; one without a match is none, each file is read once, and never itself."""
    other = tmp_path / "other"
    other.mkdir()
    (other / "abs.toml").write_text("abs = 1\n")
    os.symlink("one.toml", tmp_path / "again.toml")
    patterns = f'["nothing/*.toml", "o*.toml", "*.toml", "{other}/[a].toml", "{other}/*"]'
    layers = read(main_toml=f"include = {patterns}\n", one_toml="one = 1\n", two_toml="two = 2\n")
    assert layers.problems == []
    assert layers.names == ["main.toml", "one.toml", "two.toml", "other/abs.toml"]


def test_hidden_files_are_left_out(read, tmp_path):
    """The copies of an editor, which begin with a dot or end otherwise, are not read."""
    (tmp_path / ".main.toml").write_text("no")
    (tmp_path / "a.toml~").write_text("no")
    assert read(main_toml='include = ["*.toml"]\n').problems == []


@pytest.mark.parametrize(
    ("include", "problem"),
    [
        ('"a.toml"', "main.toml:1: include: expected a list, got 'a.toml'"),
        ("[1]", "main.toml:1: include[0]: expected str, got 1"),
        ('["a.toml"]', "a.toml: No such file or directory"),
        ('["folder"]', "folder: Is a directory"),
        ('["f*"]', "folder: Is a directory"),
        ('["pipe"]', "pipe: expected a regular file"),
        ('["main.toml/*"]', "main.toml:1: include[0]: main.toml: Not a directory"),
        ('["latin.toml"]', "latin.toml: expected UTF-8, got the byte 0xe9 at 3"),
        ('["nested.toml"]', "nested.toml:2: include: expected this key in main.toml alone"),
        ('["wrong.toml"]', "wrong.toml:2: not TOML: "),
        ('["conf.d/*.toml", ""]', "main.toml:1: include[1]: expected the name of a file, got ''"),
        (r'["a\u0000/*"]', r"main.toml:1: include[0]: expected the name of a file, got 'a\x00/*'"),
        (r'["a\u0000b"]', r"main.toml:1: include[0]: expected the name of a file, got 'a\x00b'"),
    ],
)
def test_files_that_cannot_be_included(read, tmp_path, include, problem):
    """Each problem of an included file names that file, and the others are read nevertheless."""
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "latin.toml").write_bytes(b"a='\xe9'")
    layers = read(
        main_toml=f"include = {include}\na = 1\n", nested_toml='\ninclude = ["main.toml"]\n', wrong_toml="\na = \n"
    )
    (found,) = layers.short
    assert found.startswith(problem)
    assert layers.tables["a"] == 1


def test_a_folder_that_cannot_be_read(read, tmp_path, monkeypatch):
    """A folder that this process may not list is a problem, and no folder without files."""

    def refuse(path):
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(os, "scandir", refuse)
    layers = read(main_toml='include = ["conf.d/*.toml"]\n')
    assert layers.short == ["main.toml:1: include[0]: conf.d: Permission denied"]


def test_settings_over_files(read):
    """Settings replace values of any file, the last one counts, and their problems name the option."""
    layers = read(
        "core.a=7",
        "core.a=8",
        'events=[{ name = "Z" }]',
        "new.table.b=1",
        main_toml='include = ["b.toml"]\n[[events]]\nname = "A"\n',
        b_toml="[core]\na = 1\nb = 2\n",
    )
    assert layers.tables == {"core": {"a": 8, "b": 2}, "events": [{"name": "Z"}], "new": {"table": {"b": 1}}}
    assert layers.place("core.a: no") == "--set core.a: core.a: no"
    assert layers.place("core.b: no") == "b.toml:3: core.b: no"
    assert layers.place("events[0].name: no") == "--set events: events[0].name: no"
    assert layers.place("new.table.c: no") == "--set new.table.b: new.table.c: no"


def test_settings_that_cannot_be_applied(read):
    """A path through a list, and files to include, are problems that name the option."""
    layers = read("events.name=B", 'include=["b.toml"]', main_toml='[[events]]\nname = "A"\n', b_toml="b = 1\n")
    assert layers.short == [
        "--set events.name: events.name: expected a table at events, got a list",
        "--set include: include: expected this key in a file alone",
    ]
    assert layers.tables == {"events": [{"name": "A"}]}


def test_a_text_without_a_file():
    """A text includes no files, and its problems have no place."""
    layers = layers_of('include = ["a.toml"]\nb = 1\n')
    assert layers.tables == {"b": 1}
    assert layers.problems == ["include: expected files to be included by a file, got ['a.toml']"]
    assert layers.placed(["b: no"]) == ["b: no"]
    assert layers.files == []


def test_a_thousand_files(read):
    """A thousand files are read, and a problem of the last one names it."""
    files = {f"conf__{number:04}_toml": f"[t{number}]\na = 1\n[[e]]\nn = {number}\n" for number in range(1000)}
    layers = read(main_toml='include = ["conf/*.toml"]\n', **files)
    assert layers.problems == []
    assert [each["n"] for each in layers.tables["e"]] == list(range(1000))
    assert layers.place("e[999].n: no") == "conf/0999.toml:4: e[999].n: no"


def test_a_thousand_files_with_one_key(read):
    """A thousand files that have the same key are read in linear time, and each names the first one."""
    tables = "".join(f"[t{number}]\na = 1\n" for number in range(20))
    files = {f"conf__{number:04}_toml": f"key = 1\n{tables.replace('[t', f'[t{number}x')}" for number in range(1000)}
    layers = read(main_toml='include = ["conf/*.toml"]\n', **files)
    assert len(layers.problems) == 999
    assert all(
        each.endswith("key: expected a key that no other file has, got that of conf/0000.toml:1")
        for each in layers.short
    )


def test_tables_that_are_too_deep(read):
    """Tables in more others than can be joined are a problem of the file, and no error of the program."""
    deep = ".".join(["a"] * 3000)
    layers = read(main_toml=f'include = ["b.toml"]\n{deep}.b = 1\n', b_toml=f"{deep}.c = 1\n")
    assert layers.short == ["b.toml: expected tables in fewer others"]


def test_file_without_an_end():
    """A device is no configuration, and is not read for ever."""
    assert read_layers("/dev/zero").problems == ["/dev/zero: expected at most 64 MiB"]


def test_pipe():
    """The output of a program is one, as a shell has it under `/dev/fd`."""
    read, write = os.pipe()
    os.write(write, b"[core]\na = 1\n")
    os.close(write)
    assert read_layers(f"/dev/fd/{read}").tables == {"core": {"a": 1}}
    os.close(read)


def test_names_that_are_no_text(read, tmp_path):
    """The name of a file may be any bytes."""
    (tmp_path / "conf").mkdir()
    with open(os.fsencode(tmp_path) + b"/conf/\xff.toml", "w") as file:
        file.write("x = ")
    (problem,) = read(main_toml='include = ["conf/*"]\n').short
    assert problem.startswith("conf/\udcff.toml: not TOML: ")
