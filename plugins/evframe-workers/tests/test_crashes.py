"""An event that crashes its worker each time fails after some crashes, and the others follow."""

import pytest

from evframe.plugin import Policy
from evframe.testing import until

POISONED = """
import os
import evframe
import attrs

@attrs.frozen
class Socket:
    canonical: str
    expires = True

class Poisoned:
    schemes = ("poison",)

    @evframe.hookimpl
    def on_subscribe(self, scheme, rest):
        return Socket("poison:" + rest) if scheme == "poison" else None

    @evframe.hookimpl
    def deliver(self, socket, batch):
        with open(socket.canonical.partition(":")[2], "a") as file:
            for event in batch.events:
                if event.get("n") == 5:
                    file.flush()
                    os.abort()
                file.write(f"{event.get('n')}\\n")
        return True
"""


@pytest.mark.parametrize("keep", [None, "disk"])
@pytest.mark.parametrize("rate", [None, 100000.0])
async def test_an_event_that_crashes_its_worker(workers, receiver, install, tmp_path, monkeypatch, keep, rate):
    """It fails with a reason, is counted, and becomes a dead letter; no other event fails, of any subscriber."""
    folder = install(poison="poisoned:Poisoned")
    (folder / "poisoned.py").write_text(POISONED)
    monkeypatch.setenv("PYTHONPATH", str(folder))
    path = tmp_path / "delivered"
    text = f"poison:{path}"
    async with workers(1, f'[plugins.journal]\npath = "{tmp_path / "journal"}"\n') as front:
        policy = Policy(keep=keep, rate=rate, dead_letter=True)
        front.events.subscribe_event("E_TEST", text, policy=policy)
        front.subscribe_event("E_TEST", receiver.udp)
        for number in range(10):
            front.raise_event("E_TEST", {"n": number})
        await front.settled()
        assert {*path.read_text().split()} == {str(number) for number in range(10) if number != 5}
        await until(lambda: {*receiver.numbers} == {*range(10)})
        counters = front.counters(text)
        assert (counters.raised, counters.delivered, counters.reasons) == (10, 9, {"worker_crash": 1})
        assert front.counters(receiver.udp).failed == 0
        counts = front.plugin.statistics()[0].counters
        assert counts["given_up"] == 1
        assert 3 <= counts["restarts"] <= 4
        letters = await front.commands.find("dead_letters:list").run({})
        assert [(each["socket"], each["reason"]) for each in letters["Letters"]] == [(text, "worker_crash")]
        assert (await front.raise_event_and_wait("E_TEST", {"n": 10}))[0].delivered
