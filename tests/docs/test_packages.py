"""The distributions: what each declares is what it needs, and what an index shows of it is complete."""

import ast
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from email.parser import BytesParser
from functools import cache
from graphlib import TopologicalSorter
from importlib import import_module
from importlib.metadata import packages_distributions
from pathlib import Path

import grimp
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = [ROOT, *sorted(path.parent for path in (ROOT / "plugins").glob("*/pyproject.toml"))]
OWN = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
REFERENCE_SOURCES = {"dialog", "dispatcher", "fraud-detection", "load-balancer", "usrloc"}
# Modules that are still to be divided.
LONGER = {
    "evframe-resolver/evframe_resolver/resolver.py",
    "evframe-virtual/evframe_virtual/group.py",
}
BELOW_THE_CORE = {
    "evframe-cesql",
    "evframe-client",
    "evframe-cloudevents",
    "evframe-declarations",
    "evframe-files",
    "evframe-resolver",
    "evframe-options",
    "evframe-timing",
    "evframe-wire",
}
# Packages that several distributions share, each with the one whose part of it is imported here.
SHARED = {"opentelemetry": "opentelemetry-api"}
# What a distribution uses without an import: libraries that it reaches through another one of its dependencies.
UNIMPORTED = {"evframe-rabbitmq": {"aio-pika"}, "evframe-rabbitmq-consumer": {"aio-pika"}}


@cache
def installed():
    """Return the distributions of each package that is installed."""
    return packages_distributions()


def read(folder):
    return tomllib.loads((folder / "pyproject.toml").read_text())


def imports(folder, package):
    """Return the distributions whose packages the code of a package imports, wherever the statement stands."""
    names = set()
    for path in (folder / package).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                names |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                names.add(node.module.partition(".")[0])
    names -= {package, *sys.stdlib_module_names}
    return {canonicalize_name(SHARED.get(name) or installed()[name][0]) for name in names}


def requirements(texts):
    return {canonicalize_name(each.name): each for each in map(Requirement, texts)}


def links(text):
    return re.findall(r"\]\(([^)\s]+)\)", text)


each_folder = pytest.mark.parametrize("folder", [pytest.param(folder, id=folder.name) for folder in FOLDERS[1:]])
each_plugin = pytest.mark.parametrize(
    "folder",
    [pytest.param(folder, id=folder.name) for folder in FOLDERS[1:] if "entry-points" in read(folder)["project"]],
)
every_folder = pytest.mark.parametrize(
    "folder", [pytest.param(folder, id="evframe" if folder == ROOT else folder.name) for folder in FOLDERS]
)


@each_folder
def test_a_plugin_declares_what_it_imports_and_nothing_else(folder):
    """The dependencies of a plugin are the distributions that its code imports."""
    project = read(folder)["project"]
    declared = set(requirements(project["dependencies"]))
    imported = imports(folder, project["name"].replace("-", "_"))

    extras = requirements([text for extra in project.get("optional-dependencies", {}).values() for text in extra])

    assert imported <= declared | extras.keys()
    assert declared - imported <= UNIMPORTED.get(project["name"], set())


@each_folder
def test_a_plugin_imports_public_names_alone(folder):
    """A plugin imports from `evframe`, `evframe.plugin` and `evframe.testing`, and its commands `evframe.command_line`."""
    public = re.compile(r"evframe(\.(plugin|testing|command_line)(\..*)?)?")
    wrong = [
        f"{path.relative_to(folder)}: {node.module}"
        for path in (folder / folder.name.replace("-", "_")).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "evframe"
        if not public.fullmatch(node.module or "")
    ]
    assert wrong == []


@each_plugin
def test_a_plugin_is_in_its_module_plugin(folder):
    """What an entry point loads is in the module `plugin`: a class that the package names too, or the module itself.

    A package with a class has its commands in the module `cli`, so that the gateway starts without them.
    """
    package = folder.name.replace("-", "_")
    groups = read(folder)["project"]["entry-points"]
    for value in groups.get("evframe", {}).values():
        module, _, name = value.partition(":")
        plugin = getattr(import_module(module), name)
        assert (module, plugin.__module__) == (package, f"{package}.plugin")
        assert name in import_module(package).__all__
    assert set(groups.get("evframe.cli", {}).values()) <= {f"{package}.{'cli' if 'evframe' in groups else 'plugin'}"}


@each_plugin
def test_the_options_of_a_plugin_are_in_its_module_options(folder):
    """The classes of a plugin's tables are in the module `options`, and the package names the one of its own table."""
    package = folder.name.replace("-", "_")
    plugins = read(folder)["project"]["entry-points"].get("evframe", {})
    elsewhere = [
        f"{path.name}: {node.name}"
        for path in (folder / package).rglob("*.py")
        if plugins and path.name != "options.py"
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.ClassDef) and node.name.endswith("Options")
    ]
    assert elsewhere == []
    for value in plugins.values():
        options = getattr(getattr(import_module(package), value.partition(":")[2]), "Options", None)
        if options is not None:
            assert (options.__module__, options.__name__) == (f"{package}.options", "Options")
            assert import_module(package).Options is options


@each_folder
def test_a_module_is_read_in_one_go(folder):
    """A module of a plugin has at most 300 lines; one that has more holds two things."""
    sizes = {
        str(path.relative_to(ROOT / "plugins")): len(path.read_text().splitlines())
        for path in (folder / folder.name.replace("-", "_")).rglob("*.py")
        if "testing" not in path.parts
    }

    assert {path: size for path, size in sizes.items() if size > 300 and path not in LONGER} == {}


@each_folder
def test_a_package_names_what_is_public_and_holds_nothing_else(folder):
    """`__init__` has a docstring, imports and `__all__`: code is in modules with names."""
    tree = ast.parse((folder / folder.name.replace("-", "_") / "__init__.py").read_text())

    assert ast.get_docstring(tree)
    assert all(isinstance(node, ast.ImportFrom | ast.Assign) for node in tree.body[1:])
    assert {name.id for node in tree.body if isinstance(node, ast.Assign) for name in node.targets} <= {"__all__"}


def test_the_core_declares_what_it_imports():
    """What the core imports is a dependency, or an extra where it works without."""
    optional = {name for extra in ("speed", "test") for name in requirements(OWN["optional-dependencies"][extra])}
    declared = set(requirements(OWN["dependencies"]))
    imported = imports(ROOT, "evframe")

    assert declared <= imported <= declared | optional


def test_a_gateway_has_what_its_commands_need():
    """The extra for gateways brings the extras for users of its parts: no command of theirs lacks a library."""
    for name, need in requirements(OWN["optional-dependencies"]["gateway"]).items():
        if (ROOT / "plugins" / name).is_dir():
            extras = read(ROOT / "plugins" / name)["project"].get("optional-dependencies", {})
            assert need.extras == extras.keys() - {"test"}, name


@each_folder
def test_a_plugin_needs_the_minor_version_that_it_was_made_with(folder):
    """A plugin runs with the patch releases of the core and of the library beside it, not with the next minor one."""
    needs = requirements(read(folder)["project"]["dependencies"])
    own = [need for name, need in needs.items() if name == "evframe" or name.startswith("evframe-")]
    minor = Version(OWN["version"])

    assert "evframe" in needs or folder.name in BELOW_THE_CORE
    for need in own:
        assert need.specifier.contains(OWN["version"])
        assert need.specifier.contains(f"{minor.major}.{minor.minor}.999")
        assert not need.specifier.contains(f"{minor.major}.{minor.minor + 1}.0")


def test_a_new_plugin_needs_the_minor_version_that_its_template_is_of():
    """The templates name the version of the core that they belong to."""
    need = re.search(r'"(evframe [~<>=][^"]*)"', (ROOT / "templates" / "shared" / "pyproject.toml.jinja").read_text())[
        1
    ]

    assert need == next(
        text
        for folder in FOLDERS[1:]
        for text in read(folder)["project"]["dependencies"]
        if text.startswith("evframe ")
    )


def test_plugins_of_one_library_need_the_same_versions_of_it():
    """A library that several plugins use has one range, so that they can be installed together."""
    ranges = {}
    for folder in FOLDERS:
        for name, need in requirements(read(folder)["project"]["dependencies"]).items():
            ranges.setdefault(name, set()).add((frozenset(need.extras), str(need.specifier)))

    assert {name: found for name, found in ranges.items() if len(found) > 1} == {}


@every_folder
def test_an_index_shows_who_made_it_what_it_runs_on_and_where_more_is(folder):
    """Authors, classifiers, the licence and the addresses are those of the project."""
    whole = read(folder)
    project = whole["project"]

    assert whole["build-system"]["requires"] == ["setuptools>=77"]
    assert project["authors"] == [{"name": "evframe developers"}]
    assert project["license"] == "Apache-2.0"
    assert project["license-files"] == ["LICENSE"]
    assert (folder / "LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()
    assert project["classifiers"] == OWN["classifiers"]
    assert project["version"] == OWN["version"]
    assert project["requires-python"] == OWN["requires-python"]
    page = "index" if folder == ROOT else f"reference/plugins/{folder.name.removeprefix('evframe-')}"
    home = OWN["urls"]["Homepage"]
    assert project["urls"] == {**OWN["urls"], "Documentation": f"{home}/blob/main/docs/{page}.md"}


@every_folder
def test_the_links_of_a_readme_work_on_an_index(folder):
    """A README has whole addresses, and those within the project lead to what it has."""
    home = OWN["urls"]["Homepage"]
    found = links((folder / "README.md").read_text())

    assert found
    for link in found:
        assert link.startswith("https://"), link
        if link.startswith(home):
            path, _, heading = link.removeprefix(home).partition("#")
            page = ROOT / path.removeprefix("/blob/main").removeprefix("/tree/main").strip("/")
            assert page.exists(), link
            page = page / "README.md" if page.is_dir() and heading else page
            assert not heading or f"## {heading.capitalize()}\n" in page.read_text(), link


@each_folder
def test_a_readme_stands_alone_on_an_index(folder):
    """The README of a package has what it is for, how it is installed and used, what it guarantees, and its page."""
    text = (folder / "README.md").read_text()
    title, *sections = re.split(r"^#+ ", text, flags=re.MULTILINE)[1:]
    by_name = dict(section.split("\n", 1) for section in sections)

    assert title.split("\n")[0] == folder.name
    assert "evframe](https://" in title
    assert list(by_name) == ["Install", "Use", "Guarantees", "More"]
    assert f"pip install --find-links dist {folder.name}\n" in by_name["Install"]
    assert re.search(r"^```(toml|python|sh)$", by_name["Use"], re.MULTILINE)
    assert re.search(r"^- ", by_name["Guarantees"], re.MULTILINE)
    assert read(folder)["project"]["urls"]["Documentation"] in by_name["More"]


@each_folder
def test_a_reference_source_is_called_one_everywhere(folder):
    """What is an application of its own is called a reference source on an index, in its README and on its page."""
    page = ROOT / "docs" / "reference" / "plugins" / f"{folder.name.removeprefix('evframe-')}.md"
    places = {
        "metadata": "reference source" in read(folder)["project"]["description"],
        "README": "It is a reference source" in (folder / "README.md").read_text(),
        "page": "It is a [reference source]" in page.read_text(),
    }
    assert set(places.values()) == {folder.name.removeprefix("evframe-") in REFERENCE_SOURCES}, places


@every_folder
def test_an_index_is_named_only_when_something_is_released(folder):
    """As long as the changelog has no release, no README installs a distribution from an index."""
    released = re.search(r"^## \[?\d", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    text = (folder / "README.md").read_text()

    assert released or all("--find-links" in line for line in re.findall(r".*pip install .*evframe.*", text))


def test_the_classifiers_name_the_pythons_that_are_tested():
    """The minor versions of Python in the classifiers are those of the environments of tox."""
    named = re.findall(r"Python :: (3\.\d+)$", "\n".join(OWN["classifiers"]), re.MULTILINE)
    tested = re.search(r"^env_list = .*?py\{([\d, ]+)\}", (ROOT / "tox.ini").read_text(), re.MULTILINE)

    assert named[0] == OWN["requires-python"].removeprefix(">=")
    assert [f"3{name.removeprefix('3.')}" for name in named] == tested[1].split(", ")


@pytest.mark.parametrize("name", ["evframe", "evframe-datagram", "evframe-kafka-consumer"])
def test_a_wheel_has_the_licence_the_readme_and_the_types(name, tmp_path):
    """What is built carries its licence file, its dependencies and a description without relative links."""
    folder = ROOT if name == "evframe" else ROOT / "plugins" / name
    package = name.replace("-", "_")
    source = tmp_path / "source"
    shutil.copytree(folder / package, source / package, ignore=shutil.ignore_patterns("__pycache__"))
    for file in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(folder / file, source / file)
    command = [sys.executable, ROOT / ".ci" / "wheel", tmp_path, source]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr

    wheel = zipfile.ZipFile(next(tmp_path.glob("*.whl")))
    information = f"{package}-{OWN['version']}.dist-info"
    shown = BytesParser().parsebytes(wheel.read(f"{information}/METADATA"))
    assert f"{package}/py.typed" in wheel.namelist()
    assert wheel.read(f"{information}/licenses/LICENSE") == (ROOT / "LICENSE").read_bytes()
    assert shown["License-Expression"] == "Apache-2.0"
    assert shown["Author"] == "evframe developers"
    assert shown.get_all("Classifier") == OWN["classifiers"]
    assert len(shown.get_all("Project-URL")) == len(OWN["urls"])
    plain = [text for text in shown.get_all("Requires-Dist") if "extra ==" not in text]
    assert requirements(plain) == requirements(read(folder)["project"]["dependencies"])
    assert all(link.startswith("https://") for link in links(shown.get_payload()))


def test_no_circle_of_imports():
    """No module imports itself through others: nor through a package or a distribution, which the linter passes over."""
    packages = [path.parent.name for path in ROOT.glob("plugins/*/evframe_*/__init__.py")]
    graph = grimp.build_graph("evframe", *packages, exclude_type_checking_imports=False, cache_dir=None)
    imported = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}

    TopologicalSorter(imported).prepare()  # raises an error that has the circle


def test_the_least_version_of_tls():
    """Each connection of the packages is encrypted as `evframe_wire.tls` does it, which wants TLS 1.2 at least."""
    sources = [*ROOT.glob("evframe/**/*.py"), *ROOT.glob("plugins/*/evframe_*/**/*.py")]
    made = re.compile(r"create_default_context|PROTOCOL_TLS_SERVER")

    found = [path for path in sources if made.search(path.read_text())]
    assert found == [ROOT / "plugins" / "evframe-wire" / "evframe_wire" / "tls.py"]
