#!/opt/evframe/bin/python -I
"""Exits with 0 while the gateway of this container lives, by the plugin metrics at EVFRAME_HEALTH, 127.0.0.1:9464."""

import os
import sys
from http.client import HTTPConnection

connection = HTTPConnection(os.environ.get("EVFRAME_HEALTH", "127.0.0.1:9464"), timeout=4)
try:
    connection.request("GET", "/livez")
    status = connection.getresponse().status
except OSError as error:
    sys.exit(f"{connection.host}:{connection.port}: {error}")
sys.exit(None if status == 200 else f"{connection.host}:{connection.port}: the status is {status}")
