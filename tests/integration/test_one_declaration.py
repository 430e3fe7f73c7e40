"""The example with one declaration: the browser, the webhook and the old consumer get what the document describes."""

import ast
import asyncio
import base64
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from contextlib import ExitStack, contextmanager
from pathlib import Path

import jsonschema
import pytest
from brokers.own import free_port
from evframe_options.installed import installed
from mypy import api
from playwright.async_api import async_playwright, expect
from processes import child

from evframe.testing import until

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "examples" / "one-declaration"
PAGE = ROOT / "docs" / "tutorials" / "one-declaration.md"
PORTS = ("8000", "8020", "8090", "9000")
SECRET = "whsec_" + base64.b64encode(b"0" * 32).decode()
WORDS = ("caller", "agent", "seconds", "rating")


@pytest.fixture
def example(tmp_path):
    """Return a copy of the example with free ports, whose plugins listen nowhere else."""
    folder = tmp_path / "example"
    shutil.copytree(EXAMPLE, folder)
    free = {port: str(free_port()) for port in PORTS}
    for file in filter(Path.is_file, folder.rglob("*")):
        text = file.read_text()
        for port, other in free.items():
            text = text.replace(port, other)
        file.write_text(text)
    with (folder / "evframe.toml").open("a") as config:
        config.write(f'[plugins.mi-http]\nbind = "unix:{tmp_path}/mi"\n')
    return folder


@contextmanager
def running(folder, *words):
    """Run a program of the example, and yield what returns the lines that it has printed."""
    output = folder / f"{Path(words[-1]).stem}.out"
    environment = {**os.environ, "WEBHOOK_SECRET": SECRET}
    with output.open("w") as file:
        to_file = {"stdout": file, "stderr": subprocess.STDOUT}
        with child(sys.executable, "-u", *words, cwd=folder, env=environment, **to_file):
            yield lambda: output.read_text().splitlines()


def printed(lines, kind):
    """Return what a receiver has printed as the rows of the page; a parameter that is left out is an empty cell."""
    found = [line.partition(" E_CALL_ENDED ") for line in lines]
    calls = [ast.literal_eval(params) for name, _, params in found if name == kind and params.endswith("}")]
    return [[str(call.get(word, "")) for word in WORDS] for call in calls]


async def test_everyone_gets_every_event(example):
    """The same events are in the table of the browser, at the web server and at the consumer."""
    port = (example / "evframe.toml").read_text().partition('origins = ["http://127.0.0.1:')[2].partition('"')[0]
    with ExitStack() as programs:
        hooks, datagrams = (programs.enter_context(running(example, f"{name}.py")) for name in ("receiver", "consumer"))
        programs.enter_context(
            running(example, "-m", "http.server", "--bind", "127.0.0.1", "--directory", "page", port)
        )
        service = programs.enter_context(running(example, "service.py"))
        async with async_playwright() as playwright:
            browser = await playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
            page = await browser.new_page()
            await until(lambda: printed(datagrams(), "datagram"), 30)
            await page.goto(f"http://127.0.0.1:{port}/")
            await expect(page.locator("tbody tr")).to_have_count(3, timeout=30_000)  # every third has no rating
            rows = await page.locator("tbody tr").all()
            shown = [await row.locator("td").all_inner_texts() for row in reversed(rows)]
            await browser.close()
        await until(lambda: shown[-1] in printed(hooks(), "webhook"), 30)
        await until(lambda: shown[-1] in printed(datagrams(), "datagram"), 30)
        for lines in (printed(hooks(), "webhook"), printed(datagrams(), "datagram")):
            assert [row for row in lines if row in shown] == shown
        assert "Traceback" not in "\n".join(service())


async def test_the_document_describes_it(example):
    """The AsyncAPI document has the event with the words of the class, its servers, and no secret."""
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "service.py", "--asyncapi"],
        cwd=example,
        env={**os.environ, "WEBHOOK_SECRET": SECRET},
        capture_output=True,
        check=True,
    )
    document = json.loads(done.stdout)
    payload = document["components"]["messages"]["E_CALL_ENDED"]["payload"]
    call = {"caller": "+49", "agent": "alice", "seconds": 42, "rating": None}
    jsonschema.validate({"jsonrpc": "2.0", "method": "E_CALL_ENDED", "params": call}, payload)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"jsonrpc": "2.0", "method": "E_CALL_ENDED", "params": call | {"seconds": "42"}}, payload)
    assert "How long they have spoken." in done.stdout.decode()
    named = {server["$ref"].rpartition("/")[2] for server in document["channels"]["E_CALL_ENDED"]["servers"]}
    protocols = {name: document["servers"][name]["protocol"] for name in named}
    assert sorted(protocols.values()) == ["any", "http", "http", "udp"]
    assert document["servers"]["sse"]["pathname"] == "/events"
    assert SECRET.encode() not in done.stdout


def test_the_page_says_what_mypy_says(tmp_path):
    """The wrong field of the tutorial is found, and the example has none."""
    text = PAGE.read_text()
    wrong = text.partition("echo '")[2].partition("' > wrong.py")[0]
    expected = text.partition("wrong.py:1: ")[2].partition("\n")[0]
    shutil.copytree(EXAMPLE, tmp_path, dirs_exist_ok=True)
    (tmp_path / "wrong.py").write_text(wrong + "\n")
    before = sys.getrecursionlimit()
    try:
        out, _, _ = api.run(["--strict", "--cache-dir", os.devnull, *map(str, tmp_path.glob("*.py"))])
    finally:
        sys.setrecursionlimit(before)  # mypy raises it for the whole process
    found = [line for line in out.splitlines() if ": error: " in line]
    assert len(found) == 1, out
    assert found[0].partition(": ")[2] == expected


def test_the_requirements_are_what_the_example_uses():
    """An environment with the requirements alone has what is imported, the plugins of the tables, and the transports."""
    tables = tomllib.loads((EXAMPLE / "evframe.toml").read_text())
    schemes = {socket.partition(":")[0] for socket in (lease["socket"] for lease in tables["subscriptions"])}
    tables |= tables["plugins"]
    used = {each.name for each in installed() if {each.name, *each.places} & {*tables} or schemes & {*each.schemes}}
    imported = {
        name.partition(".")[0].replace("_", "-")
        for file in EXAMPLE.glob("*.py")
        for name in re.findall(r"^(?:import|from) (\S+)", file.read_text(), re.MULTILINE)
        if not (EXAMPLE / f"{name}.py").exists() and name.partition(".")[0] not in sys.stdlib_module_names
    }
    assert imported | {f"evframe-{name}" for name in used} == {*(EXAMPLE / "requirements.txt").read_text().split()}


def test_the_page_shows_the_declaration():
    """The class of the page is that of the example."""
    shown = PAGE.read_text().partition("```python\n")[2].partition("```")[0]
    assert (EXAMPLE / "calls.py").read_text().endswith(shown)
