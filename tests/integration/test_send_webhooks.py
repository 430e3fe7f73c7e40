"""The receiver of the page about webhooks takes what the gateway of the page sends, and nothing else."""

import re
from pathlib import Path

import aiohttp
from aiohttp import web

import evframe

PAGE = Path(__file__).resolve().parents[2] / "docs" / "how-to" / "send-webhooks.md"
SECRET = "whsec_" + "c2VjcmV0" * 4


def block(language):
    return re.search(rf"^```{language}\n(.*?)^```$", PAGE.read_text(), re.DOTALL | re.MULTILINE)[1]


async def test_the_receiver_of_the_page(tmp_path, monkeypatch, capsys):
    """An event arrives with its id; a request that is not signed is refused."""
    monkeypatch.setenv("WEBHOOK_SECRET", SECRET)
    names = {}
    exec(block("python"), names)
    runner = web.AppRunner(names["make_app"]())
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    port = runner.addresses[0][1]
    path = tmp_path / "evframe.toml"
    path.write_text(block("toml").replace(":9000/", f":{port}/").replace("127.0.0.1:8888", f"unix:{tmp_path}/mi"))
    async with evframe.EventInterface.from_toml(path) as events, aiohttp.ClientSession() as client:
        report = await events.raise_event_and_wait("E_ORDER_PLACED", {"id": 7})
        async with client.post(f"http://127.0.0.1:{port}/hook", data=b"{}") as answer:
            assert answer.status == 401
    await runner.cleanup()
    assert [outcome.reason for outcome in report] == [None]
    printed = capsys.readouterr().out.splitlines()
    assert [line.partition(" ")[2] for line in printed] == ["E_ORDER_PLACED {'id': 7}"]
