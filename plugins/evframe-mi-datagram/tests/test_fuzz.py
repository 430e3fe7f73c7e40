"""Datagrams of every kind."""

import socket

import pytest
from evframe_mi.testing.fuzzing import LIMIT_S, check_answer, fuzz, requests
from evframe_mi.testing.measured import Measured
from hypothesis import strategies as st

PLAIN = b'{"jsonrpc":"2.0","method":"events_list","id":"plain"}'


@pytest.mark.timeout(LIMIT_S)
@pytest.mark.parametrize("kind", ["udp", "unix"])
def test_any_requests(kind, tmp_path):
    """No request ends the interface, holds others up or leaves anything behind."""
    options = {"socket_name": "udp:127.0.0.1:0" if kind == "udp" else f"{tmp_path}/mi"}
    family = socket.AF_INET if kind == "udp" else socket.AF_UNIX
    with Measured("evframe_mi_datagram:DatagramManagement", options) as measured:
        with socket.socket(family, socket.SOCK_DGRAM) as client:
            if kind == "unix":
                client.bind(f"{tmp_path}/client")
            client.connect(tuple(measured.address) if kind == "udp" else measured.address)
            client.settimeout(10)

            def plain():
                client.send(PLAIN)
                while True:
                    reply = client.recv(65536)
                    if reply != b"400 Parse_error":
                        check_answer(reply)
                    if b'"plain"' in reply:
                        break

            fuzz(measured, lambda _, request: client.send(request), plain, st.tuples(st.none(), requests))
