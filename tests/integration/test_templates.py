"""The templates of plugins: what is generated is built, installed with the core alone, and passes its own tests."""

import ast
import json
import re
import shutil
import subprocess
import sys
import venv
from importlib.metadata import Distribution, distribution, distributions
from pathlib import Path

import pytest
from forks import forked
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
DEFAULTS = {
    "source": ({}, "size-watch", "evframe_size_watch"),
    "transport": ({}, "webhook", "evframe_webhook"),
}
OTHERS = {
    "source": ({"name": "s3-usage", "licence": "MIT", "author": "Zoë O'Hara & sons"}, "s3-usage", "evframe_s3_usage"),
    "transport": (
        {
            "name": "chat",
            "scheme": "chat2",
            "module": "company_chat",
            "licence": "BSD-3-Clause",
            "description": "posts",
        },
        "chat",
        "company_chat",
    ),
}


def run(*words, **options):
    """Return the output of a command that has to work."""
    done = subprocess.run(words, capture_output=True, text=True, timeout=50, check=False, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def generate():
    """Run copier, which may ask nothing, and is imported once."""
    with forked("copier.__main__") as run:

        def generate(kind, folder, answers):
            data = [f"--data={name}={value}" for name, value in {"kind": kind, **answers}.items()]
            copier = Path(sys.executable).parent / "copier"
            return run(copier, "copy", "--quiet", "--defaults", *data, ROOT / "templates", folder)

        yield generate


def build(source, folder):
    """Return the wheel of a project, made as the wheels of a release are."""
    run(sys.executable, ROOT / ".ci" / "wheel", folder, source)
    (wheel,) = folder.glob("*.whl")
    return wheel


class Environment:
    """A fresh virtual environment; what a distribution requires is copied from that of the tests."""

    def __init__(self, folder):
        venv.create(folder, symlinks=True)
        self.python = folder / "bin" / "python"
        (self.site,) = folder.glob("lib/python*/site-packages")
        self.installed = set()

    def install(self, core, wheel, *extras):
        """Install two wheels, and what they require; the *extras* are those of the second one."""
        # What `pip --python` does, which begins with a pip in this environment.
        pip = [self.python, distribution("pip").locate_file("pip/__pip-runner__.py"), "install", "-q"]
        run(*pip, "--no-index", "--no-deps", "--disable-pip-version-check", core, wheel)
        names = {
            canonicalize_name(each.name.partition("-")[0]): wanted for each, wanted in ((core, ()), (wheel, extras))
        }
        self.installed.update(names)
        for found in list(distributions(path=[str(self.site)])):
            self._require(found, names[canonicalize_name(found.name)])

    def _require(self, needing: Distribution, extras=()):
        for text in needing.requires or ():
            required = Requirement(text)
            name = canonicalize_name(required.name)
            wanted = required.marker is None or any(required.marker.evaluate({"extra": each}) for each in ("", *extras))
            if wanted and name not in self.installed:
                self.installed.add(name)
                self._copy(distribution(name))
                self._require(distribution(name), required.extras)

    def _copy(self, found):
        for folder in {file.parts[0] for file in found.files if len(file.parts) > 1 and file.parts[0] != ".."}:
            # With what Python has compiled and the times of the sources, by which it knows that this is up to date.
            shutil.copytree(found.locate_file(folder), self.site / folder, dirs_exist_ok=True)
        for file in found.files:
            if len(file.parts) == 1:
                shutil.copy2(found.locate_file(file), self.site / file)


@pytest.fixture(scope="module")
def core(tmp_path_factory):
    """Return the wheel of the core."""
    folder = tmp_path_factory.mktemp("core")
    shutil.copytree(ROOT / "evframe", folder / "source" / "evframe", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copyfile(ROOT / name, folder / "source" / name)
    return build(folder / "source", folder)


class Generated:
    """A generated project in an environment with the core alone."""

    def __init__(self, generate, kind, answers, name, module, folder, core):
        self.kind, self.name, self.module = kind, name, module
        self.folder = folder / "project"
        done = generate(kind, self.folder, answers)
        assert done.returncode == 0, done.stderr
        self.environment = Environment(folder / "venv")
        self.environment.install(core, build(self.folder, folder), "test")

    def python(self, *words):
        """Return what the environment's Python prints, outside the project."""
        return run(self.environment.python, *words, cwd=self.folder.parent)


@pytest.fixture(scope="module", params=["source", "transport"])
def generated(request, tmp_path_factory, generate, core):
    """Return what a template makes of the answers that it proposes."""
    return Generated(generate, request.param, *DEFAULTS[request.param], tmp_path_factory.mktemp(request.param), core)


def test_own_tests(generated):
    """It passes its own tests, the contract among them, where only the core is installed."""
    printed = generated.python("-P", "-m", "pytest", "-v", "-p", "no:cacheprovider", generated.folder)
    assert re.search(r"^=+ \d+ passed in ", printed, re.MULTILINE), printed
    assert re.search(r"TestContract::(test_no_subscriber|test_loop_is_not_blocked) PASSED", printed), printed


def test_listed(generated):
    """`evframe plugins` has it, with its scheme or its events and its command."""
    (status,) = json.loads(generated.python("-m", "evframe", "plugins", "--json"))
    assert (status["name"], status["version"], status["problem"]) == (generated.name, "0.1.0", None)
    assert generated.python("-m", "evframe", "plugins") in tutorial(generated.kind)
    if generated.kind == "transport":
        assert status["schemes"] == ["webhook"]
    else:
        assert status["events"] == ["E_SIZE_WATCH_HIGH", "E_SIZE_WATCH_NORMAL"]
        assert status["commands"] == ["size-watch:list"]


def test_page(generated):
    """The configuration on its page is valid, and every option is on the page."""
    page = (generated.folder / "docs" / f"{generated.name}.md").read_text()
    (block,) = re.findall(r"^```toml\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    configuration = generated.folder.parent / "evframe.toml"
    configuration.write_text(block)
    assert generated.python("-m", "evframe", "check", "-c", configuration) == "ok\n"
    options = re.findall(
        r"^    (\w+): ", (generated.folder / generated.module / "options.py").read_text(), re.MULTILINE
    )
    assert options
    assert [name for name in options if f"| `{name}` |" not in page] == []


def test_types(generated, tmp_path_factory):
    """The type checker in strict mode finds nothing, with the core as it is installed."""
    cache = tmp_path_factory.getbasetemp() / "mypy"
    words = ["--python-executable", generated.environment.python, "--cache-dir", cache, generated.module]
    assert run(sys.executable, "-m", "mypy", *words, cwd=generated.folder).startswith("Success")


def tutorial(kind):
    """Return the page that leads through what is generated."""
    return (ROOT / "docs" / "tutorials" / f"write-a-{kind}.md").read_text()


def definitions(text):
    """Return the source of the classes and functions of a module by their names."""
    return {
        node.name: ast.get_source_segment(text, node)
        for node in ast.parse(text).body
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
    }


def test_tutorial(generated):
    """What the tutorial shows of the generated project is what is generated."""
    shown = definitions(
        "\n".join(re.findall(r"^```python\n(.*?)^```$", tutorial(generated.kind), re.DOTALL | re.MULTILINE))
    )
    written = {}
    for path in [*generated.folder.glob(f"{generated.module}/*.py"), *generated.folder.glob("tests/*.py")]:
        for name, code in definitions(path.read_text()).items():
            written.setdefault(name, []).append(code)
    common = shown.keys() & written.keys() - {"test_away"}  # of which the page has a shorter one
    assert len(common) >= 6
    assert [name for name in common if shown[name] not in written[name]] == []


def lint(folder):
    """Check the rules and the form."""
    run(sys.executable, "-m", "ruff", "check", "--no-cache", ".", cwd=folder)
    run(sys.executable, "-m", "ruff", "format", "--no-cache", "--check", ".", cwd=folder)


def test_form(generated):
    """The project's own rules for its code find nothing."""
    lint(generated.folder)


@pytest.mark.parametrize("kind", OTHERS)
def test_other_answers(kind, tmp_path, generate, core):
    """Other names, another licence and a package of one's own work as well."""
    answers, name, module = OTHERS[kind]
    made = Generated(generate, kind, answers, name, module, tmp_path, core)
    lint(made.folder)
    assert "passed" in made.python("-P", "-m", "pytest", "-q", "-p", "no:cacheprovider", made.folder)
    (status,) = json.loads(made.python("-m", "evframe", "plugins", "--json"))
    assert (status["name"], status["problem"], status["schemes"]) == (
        name,
        None,
        ["chat2"] if kind == "transport" else [],
    )
    (found,) = (each for each in distributions(path=[str(made.environment.site)]) if each.name == f"evframe-{name}")
    assert found.metadata["License-Expression"] == answers["licence"]
    assert {f"{module}/py.typed", f"evframe_{name.replace('-', '_')}-0.1.0.dist-info/licenses/LICENSE"} <= set(
        map(str, found.files)
    )
    assert answers.get("author", "the authors of") in (made.folder / "LICENSE").read_text()


@pytest.mark.parametrize(
    ("answer", "value", "problem"),
    [
        ("name", "Size Watch", "expected up to 40 small letters"),
        ("name", "x" * 41, "expected up to 40 small letters"),
        ("scheme", "web-hook", "expected small letters and digits"),
        ("description", 'says "hello"', "without quotation marks"),
        ("author", "a\\b", "without quotation marks"),
        ("module", "evframe", "expected a package name"),
    ],
)
def test_bad_answers(answer, value, problem, tmp_path, generate):
    """An answer that would not work is refused with the accepted form, and nothing is written."""
    done = generate("transport", tmp_path / "project", {answer: value})
    assert done.returncode != 0
    assert problem in " ".join(done.stderr.split())
    assert not (tmp_path / "project").exists()
