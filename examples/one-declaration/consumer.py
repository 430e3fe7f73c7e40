"""A consumer as there are many for OpenSIPS: it reads JSON-RPC from datagrams, and knows nothing of evframe."""

import json
import socket

with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
    datagrams.bind(("127.0.0.1", 8020))
    while True:
        event = json.loads(datagrams.recv(65535))
        print("datagram", event["method"], event["params"], flush=True)
