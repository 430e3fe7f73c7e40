"""Name servers under the control of a test, for gateways that are processes of their own."""

import json
import os
import random
import socket
import subprocess
import sys
import threading
from pathlib import Path

EVFRAME = Path(sys.executable).parent / "evframe"
_MOUNT = 'mount --bind "$0" /etc/resolv.conf && exec "$@"'
_INJECT = """
import json, socket, sys, time
from evframe_resolver import resolver as resolving

path = sys.argv.pop(1)

def look_up(host):
    while (addresses := json.loads(open(path).read()).get(host, [])) is None:
        time.sleep(0.05)
    if not addresses:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
    return [(socket.AF_INET, (address, 0)) for address in addresses]

resolving.look_up = look_up
from evframe.cli import main
main(prog_name="evframe")
"""


class InjectedNames:
    """Names in a file, which a function in the gateway reads in place of the system's lookup."""

    def __init__(self, folder):
        self._path = folder / "names.json"
        self._names = {}
        self.command = (sys.executable, "-c", _INJECT, str(self._path))
        """What is run in place of `evframe`."""
        self._write()

    def __setitem__(self, host, addresses):
        self._names[host] = addresses
        self._write()

    def _write(self):
        fresh = self._path.with_suffix(".new")
        fresh.write_text(json.dumps(self._names))
        os.replace(fresh, self._path)

    def close(self):
        """Do nothing."""


class DnsNames:
    """A DNS server, and a mount namespace whose `/etc/resolv.conf` names it; this takes root.

    A name with addresses has A records, one with None gets no answer, and any other does not exist.
    """

    def __init__(self, folder):
        self._names = {}
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        address = f"127.53.{random.randrange(256)}.{random.randrange(1, 255)}"
        self._socket.bind((address, 53))
        resolv = folder / "resolv.conf"
        resolv.write_text(f"nameserver {address}\noptions timeout:1 attempts:1\n")
        self.command = ("unshare", "--mount", "sh", "-c", _MOUNT, str(resolv), str(EVFRAME))
        threading.Thread(target=self._serve, daemon=True).start()

    @staticmethod
    def is_possible():
        """Return whether this process may have a mount namespace and the port of DNS."""
        if os.geteuid():
            return False
        probe = subprocess.run(
            ["unshare", "--mount", "mount", "--bind", "/etc", "/etc"], capture_output=True, check=False
        )
        return not probe.returncode

    def __setitem__(self, host, addresses):
        self._names[host] = addresses

    def _serve(self):
        while True:
            question, peer = self._socket.recvfrom(4096)
            if not question:
                self._socket.close()
                return
            answer = self._answer(question)
            if answer is not None:
                self._socket.sendto(answer, peer)

    def _answer(self, question):
        """Return the answer to a question with one name (RFC 1035, 4.1)."""
        labels, at = [], 12
        while question[at]:
            labels.append(question[at + 1 : at + 1 + question[at]].decode())
            at += 1 + question[at]
        kind = int.from_bytes(question[at + 1 : at + 3], "big")
        addresses = self._names.get(".".join(labels), [])
        if addresses is None:
            return None
        records = [b"\xc0\x0c\0\1\0\1\0\0\0\0\0\4" + socket.inet_aton(address) for address in addresses if kind == 1]
        code = 0 if addresses else 3
        flags = (0x8180 | code).to_bytes(2, "big")
        counts = b"\0\1" + len(records).to_bytes(2, "big") + bytes(4)
        return question[:2] + flags + counts + question[12 : at + 5] + b"".join(records)

    def close(self):
        """End the server."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stop:
            stop.sendto(b"", self._socket.getsockname())
