"""Probes with options that change."""

import asyncio
import subprocess

import pytest
from evframe_probing import Bind, ProbeOptions, Probing, Settings, SipOptions, parse_target
from evframe_probing.testing import SipPeer

from evframe.testing import until


class Probes:
    """Probes one peer, and keeps the replies."""

    def __init__(self, peer):
        self.target = parse_target(f"sip:127.0.0.1:{peer.port}")
        self.replies = []
        self.tasks = set()
        self.probing = Probing(lambda: ["it"], self.probe, self.spawn)

    def spawn(self, work):
        task = asyncio.get_running_loop().create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return task

    async def probe(self, prober, _):
        self.replies.append((await prober.probe(self.target)).code)

    async def __aenter__(self):
        return self

    async def __aexit__(self, *error):
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)


def settings(method, port=0, timeout_s=60.0, interval_s=0.02):
    sip = SipOptions(method=method, bind=Bind("127.0.0.1", port))
    return Settings(interval_s, ProbeOptions(timeout_s=timeout_s), sip)


async def test_other_settings():
    """They hold for the next probe, from the same port; one that is under way is given up without a reply."""
    async with SipPeer(None) as peer, Probes(peer) as probes:
        probes.probing.follow(settings("INFO"))
        await until(lambda: peer.received)
        port = peer.received[0].peer[1]
        peer.code = 200
        probes.probing.follow(settings("OPTIONS", port))
        await until(lambda: len(probes.replies) > 3)
        assert set(probes.replies) == {200}
        assert {(each.method, each.peer[1]) for each in peer.received} == {("INFO", port), ("OPTIONS", port)}
        task = probes.probing._task
        probes.probing.follow(settings("OPTIONS", port))
        assert probes.probing._task is task
        probes.probing.follow(Settings())
        await until(lambda: not probes.tasks)


async def test_taken_back():
    """What is undone in the same turn of the loop leaves the probes that are under way alone."""
    async with SipPeer(None) as peer, Probes(peer) as probes:
        probes.probing.follow(settings("INFO"))
        await until(lambda: peer.received)
        probes.probing.follow(settings("OPTIONS"))()
        peer.code = 200
        await until(lambda: probes.replies)
        assert {each.method for each in peer.received} == {"INFO"}
        assert len(probes.tasks) == 1


async def test_certificates_that_have_gone(tmp_path):
    """Settings that cannot be used change nothing."""
    file = tmp_path / "ca.pem"
    keys = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", str(tmp_path / "key.pem")]
    command = ["openssl", "req", "-x509", *keys, "-subj", "/CN=here", "-out", str(file)]
    subprocess.run(command, check=True, capture_output=True)
    options = ProbeOptions(ca_file=str(file))
    file.unlink()
    async with SipPeer() as peer, Probes(peer) as probes:
        probes.probing.follow(settings("INFO"))
        with pytest.raises(OSError):
            probes.probing.follow(Settings(1.0, options))
        await until(lambda: len(probes.replies) > 2)
