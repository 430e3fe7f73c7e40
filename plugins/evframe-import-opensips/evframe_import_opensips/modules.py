"""What the modules, parameters and functions of OpenSIPS that have to do with events are called here.

This is the one place: the converter and the table in the documentation are made from it.
The modules that raise events have another table, which is part of this one.
"""

from __future__ import annotations

from typing import Final

from evframe_import_opensips import values
from evframe_import_opensips.source_modules import SOURCE_MODULES, SOURCE_PARAMETERS
from evframe_import_opensips.tables import Module, ModuleParameter, without_option

_JSON_RPC: Final = "the management interface speaks JSON-RPC: `mi-http`"
_NO_PAGES: Final = "there are no pages for a browser"
_FROM_1: Final = "from 1: every wait has an end here"
_BY_SUBSCRIPTION: Final = "of a script function: raise an event, and subscribe a socket to it"

MODULES: Final = {
    "event_datagram": Module("datagram"),
    "event_flatstore": Module("flatstore"),
    "event_jsonrpc": Module("stream", "until 3.0; its sockets become tcp:host:port/method"),
    "event_kafka": Module("kafka"),
    "event_rabbitmq": Module("rabbitmq"),
    "event_route": Module("route", "until 3.5; event routes are Python callables: `[routes]`"),
    "event_routing": Module(None, "`events.listen` and `events.wait_for_event` in the process"),
    "event_sqs": Module("sqs"),
    "event_stream": Module("stream"),
    "event_virtual": Module("virtual"),
    "event_xmlrpc": Module("xmlrpc"),
    "httpd": Module("mi-http"),
    "mi_datagram": Module("mi-datagram"),
    "mi_fifo": Module("mi-fifo", defaults={"fifo_name": "/tmp/opensips_fifo"}),  # noqa: S108 the original's
    "mi_html": Module(None, _NO_PAGES),
    "mi_http": Module("mi-http", defaults={"bind": "127.0.0.1:8888"}),
    "mi_json": Module(None, f"until 2.4; {_JSON_RPC}"),
    "mi_script": Module(None, "`evframe_mi.dispatcher_of(context)` in a plugin, `evframe mi` in a shell"),
    "mi_xmlrpc": Module(None, _JSON_RPC),
    "mi_xmlrpc_ng": Module(None, _JSON_RPC),
    "rabbitmq": Module(None, f"until 3.5; {_BY_SUBSCRIPTION}"),
    **SOURCE_MODULES,
}

_P = ModuleParameter
PARAMETERS: Final = (
    _P("event_flatstore", "max_open_sockets", "max_open_sockets", values.number),
    _P("event_flatstore", "delimiter", "delimiter", values.text),
    _P("event_flatstore", "escape_delimiter", "escape_delimiter", values.text),
    _P("event_flatstore", "file_permissions", "file_permissions", values.mode),
    _P("event_flatstore", "suppress_event_name", "suppress_event_name", values.switch),
    _P("event_flatstore", "rotate_period", "rotate_period_s", values.number),
    _P("event_flatstore", "rotate_count", "rotate_count", values.count),
    _P("event_flatstore", "rotate_size", "rotate_size", values.any_value),
    _P("event_flatstore", "suffix", "suffix", values.suffix, "`$time(format)` becomes the format"),
    _P("event_jsonrpc", "sync_mode", "reliable_mode", values.switch),
    _P("event_jsonrpc", "timeout", "timeout_ms", values.number, _FROM_1),
    _P("event_jsonrpc", "event_param", "event_param", values.text),
    _P("event_kafka", "broker_id", note=_BY_SUBSCRIPTION),
    _P("event_rabbitmq", "heartbeat", "heartbeat_s", values.number, "10 without it, not 0"),
    _P("event_rabbitmq", "connect_timeout", "connect_timeout_ms", values.number),
    _P("event_rabbitmq", "timeout", "timeout_ms", values.number, _FROM_1),
    _P("event_rabbitmq", "use_tls", "use_tls", values.switch, "`ca_file` and `cert_file` in place of a TLS domain"),
    _P("event_rabbitmq", "sync_mode", note="the broker confirms every message"),
    _P("event_rabbitmq", "server_id", note=_BY_SUBSCRIPTION),
    _P("event_sqs", "queue_url", "queue_url", values.listed, "a socket may be `sqs:ID`"),
    _P("event_stream", "reliable_mode", "reliable_mode", values.switch),
    _P("event_stream", "timeout", "timeout_ms", values.number, _FROM_1),
    _P("event_stream", "event_param", "event_param", values.text),
    _P("event_virtual", "failover_timeout", "failover_timeout_s", values.number),
    _P("event_xmlrpc", "use_struct_param", "use_struct_param", values.switch, "one struct with all parameters"),
    _P("httpd", "ip", "bind", values.host, "127.0.0.1 without it, not every address as until 3.6"),
    _P("httpd", "port", "bind", values.port),
    _P("httpd", "receive_buf_size", "max_body_bytes", values.number),
    _P("httpd", "post_buf_size", note="forms are not taken"),
    _P("httpd", "buf_size", note="answers have no limit"),
    _P("httpd", "conn_timeout", "conn_timeout_s", values.number),
    _P("httpd", "tls_cert_file", "tls_cert_file", values.text),
    _P("httpd", "tls_key_file", "tls_key_file", values.text),
    _P("httpd", "tls_ciphers", note="the ciphers are those of the system"),
    _P("httpd", "auth_username", "auth_username", note="set it together with `auth_password_file`"),
    _P("httpd", "auth_password", "auth_password_file", note="name a file that others cannot read, with the password"),
    _P("httpd", "auth_realm", "auth_realm", values.text),
    _P("mi_datagram", "socket_name", "socket_name", values.text),
    _P("mi_datagram", "children_count", note="one process answers everybody"),
    _P("mi_datagram", "unix_socket_mode", "unix_socket_mode", values.mode),
    _P("mi_datagram", "unix_socket_user", "unix_socket_user", values.any_value),
    _P("mi_datagram", "unix_socket_group", "unix_socket_group", values.any_value),
    _P("mi_datagram", "socket_timeout", "socket_timeout_ms", values.number),
    _P("mi_datagram", "socket_buf_size", "socket_buf_size", values.number),
    _P("mi_datagram", "pretty_printing", "pretty_printing", values.switch),
    _P("mi_datagram", "reply_indent", note="until 2.4; `pretty_printing`"),
    _P("mi_fifo", "fifo_name", "fifo_name", values.text),
    _P("mi_fifo", "fifo_mode", "fifo_mode", values.mode),
    _P("mi_fifo", "fifo_user", "fifo_user", values.any_value),
    _P("mi_fifo", "fifo_group", "fifo_group", values.any_value),
    _P("mi_fifo", "reply_dir", "reply_dir", values.text),
    _P("mi_fifo", "pretty_printing", "pretty_printing", values.switch),
    _P("mi_fifo", "reply_indent", note="until 2.4; `pretty_printing`"),
    _P("mi_html", "root", note=_NO_PAGES),
    _P("mi_html", "http_method", note=_NO_PAGES),
    _P("mi_http", "root", "path", values.url_path),
    _P("mi_http", "mi_http_root", "path", values.url_path, "until 2.4"),
    _P("mi_http", "mi_http_method", note="until 2.4; requests are JSON-RPC in a POST"),
    _P("mi_http", "pretty_printing", "pretty_printing", values.switch),
    _P("mi_json", "mi_json_root", note="`path` of `mi-http`"),
    _P("mi_xmlrpc", "http_root", note=_JSON_RPC),
    _P("mi_xmlrpc_ng", "http_root", note=_JSON_RPC),
    _P("mi_xmlrpc_ng", "format_version", note=_JSON_RPC),
    *(
        _P(module, name, note="requests are not traced")
        for module in MODULES
        if module.startswith("mi_")
        for name in ("trace_destination", "trace_bwlist")
    ),
    *without_option("rabbitmq", _BY_SUBSCRIPTION, "server_id", "connect_timeout", "timeout", "retries", "use_tls"),
    *SOURCE_PARAMETERS,
)

SCHEMES: Final = {
    "flatstore": "flatstore",
    "kafka": "kafka",
    "rabbitmq": "rabbitmq",
    "sqs": "sqs",
    "tcp": "stream",
    "udp": "datagram",
    "unix": "datagram",
    "virtual": "virtual",
    "xmlrpc": "xmlrpc",
}
"""The plugin of each scheme that the original has, too."""

CORE_PARAMETERS: Final = frozenset(
    {
        "event_pkg_threshold",
        "event_shm_threshold",
        "exec_dns_threshold",
        "exec_msg_threshold",
        "log_event_enabled",
        "log_event_level_filter",
        "tcp_threshold",
    }
)
"""The parameters of the core that make it raise events about itself."""

FUNCTIONS: Final = {
    "kafka_publish": "raise an event that a kafka: socket is subscribed to",
    "mi": "evframe mi in a shell, evframe_mi.dispatcher_of(context) in a plugin",
    "notify_on_event": "async with events.listen(name, where={…})",
    "rabbitmq_publish": "raise an event that a rabbitmq: socket is subscribed to",
    "sqs_publish_message": "raise an event that a sqs: socket is subscribed to",
    "sqs_send_message": "raise an event that a sqs: socket is subscribed to",
    "wait_for_event": "await events.wait_for_event(name, where={…}, timeout_s=…)",
}
"""What takes the place of the functions that cannot be converted."""
