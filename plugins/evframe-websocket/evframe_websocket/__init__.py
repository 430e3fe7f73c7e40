"""The transport ``ws:`` and a management interface: JSON-RPC over WebSocket, both ways on one connection."""

from evframe_websocket.options import Options
from evframe_websocket.plugin import WebSocketTransport

__all__ = ["Options", "WebSocketTransport"]
