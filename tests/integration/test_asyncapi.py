"""The AsyncAPI document: it fits the specification, describes what is configured, and has no secret."""

import json
from functools import cache
from importlib.resources import files
from pathlib import Path

import pytest
from click.testing import CliRunner
from evframe_cloudevents import Envelope
from evframe_schema import Gateway, asyncapi_document, event_schema
from jsonschema import Draft7Validator

import evframe
from evframe.cli import main
from evframe.config import parse_config

ROOT = Path(__file__).resolve().parents[2]
CONFIG = """
[plugins.opensips]
events = ["*"]
instance_param = ""

[plugins.mi-http]
token = "tok-S3CRET"
auth_username = "ops"
auth_password = "${env:EVFRAME_TEST_PASSWORD}"

[plugins.mi-datagram]
socket_name = "udp:127.0.0.1:8080"

[plugins.mi-fifo]
fifo_name = "/tmp/opensips_fifo"

[plugins.journal]
path = "FOLDER/journal.db"

[[subscriptions]]
event = "E_PIKE_BLOCKED"
socket = "udp:10.0.0.1:99"
keep = "disk"

[[subscriptions]]
event = "E_PIKE_BLOCKED"
socket = "rabbitmq:guest:pw-S3CRET@broker:5673/exchange=ex;vhost=v?key"

[[subscriptions]]
event = "E_UL_AOR_INSERT"
socket = "rabbitmq:guest:${env:EVFRAME_TEST_PASSWORD}@broker/key"

[[subscriptions]]
event = "E_A"
socket = "kafka:b1:9092,b2:9092/topic?key=callid&g.sasl.password=pw-S3CRET"

[[subscriptions]]
event = "E_B/~ x"
socket = "xmlrpc:192.0.2.4:80/hooks/3f2b8c91d4e7S3CRET:method"

[[subscriptions]]
event = "E_B/~ x"
socket = "virtual:FAILOVER udp:10.0.0.1:99 tcp:10.0.0.2:100/other"

[[subscriptions]]
event = "E_B/~ x"
socket = "udp:${env:EVFRAME_TEST_HOST}:99"

[[subscriptions]]
event = "E_B/~ x"
socket = "udp:10.0.0.3:${env:EVFRAME_TEST_PORT}"

[[subscriptions]]
event = "E_B/~ x"
socket = "redis://user:pw-S3CRET@broker/1?stream=s"

[[subscriptions]]
event = "E_B/~ x"
socket = "${env:EVFRAME_TEST_SOCKET}"

[[subscriptions]]
event = "E_B/~ x"
socket = "https://hooks.example/3f2b8c91d4e7S3CRET?token=pw-S3CRET"

[[subscriptions]]
event = "E_B/~ x"
socket = "flatstore:FOLDER/events.csv"
"""


@cache
def specification():
    return Draft7Validator(
        json.loads((ROOT / "plugins" / "evframe-schema" / "tests" / "data" / "asyncapi-3.0.0.json").read_bytes())
    )


def assert_fits(document):
    """Check a document with the JSON Schema of AsyncAPI, and that each reference leads to something."""
    assert [error.message for error in specification().iter_errors(document)] == []
    for reference in references(document):
        part = document
        for step in reference.removeprefix("#/").split("/"):
            part = part[step]


def references(part):
    if isinstance(part, dict) and isinstance(part.get("$ref"), str):
        yield part["$ref"]
    for each in part.values() if isinstance(part, dict) else part if isinstance(part, list) else ():
        yield from references(each)


@pytest.fixture
def documents(tmp_path, monkeypatch):
    """Return the documents of a configuration with secrets, of both versions."""
    monkeypatch.setenv("EVFRAME_TEST_PASSWORD", "pw-S3CRET")
    monkeypatch.setenv("EVFRAME_TEST_HOST", "host-S3CRET")
    path = tmp_path / "evframe.toml"
    path.write_text(CONFIG.replace("FOLDER", str(tmp_path)))
    found = []
    for spec in ("3.0", "3.1"):
        done = CliRunner().invoke(main, ["schema", "asyncapi", "-c", str(path), "--spec", spec])
        assert done.exit_code == 0, done.output
        found.append(done.output)
    assert [each.name for each in tmp_path.iterdir()] == ["evframe.toml"]
    return found


def test_it_fits_the_specification_without_secrets(documents):
    """With every event of the plugins and the 63 of the catalogue, in both versions."""
    assert "S3CRET" not in "".join(documents)
    older, newer = map(json.loads, documents)
    assert_fits(older)
    assert (older.pop("asyncapi"), newer.pop("asyncapi")) == ("3.0.0", "3.1.0")
    assert older == newer
    events = [each for each in older["operations"].values() if each["action"] == "send"]
    assert len(events) == len(older["channels"]) - 1 >= 73


def test_what_is_configured(documents):
    """Sockets are servers, with the bindings of the channel; management interfaces are servers, too."""
    document = json.loads(documents[0])
    servers, channels = document["servers"], document["channels"]
    places = {key: (each["protocol"], each["host"], each.get("pathname", "")) for key, each in servers.items()}

    assert places["udp_10.0.0.1_99"] == ("udp", "10.0.0.1:99", "")
    assert places["tcp_10.0.0.2_100_other"] == ("tcp", "10.0.0.2:100", "")
    assert places["udp___env_EVFRAME_TEST_HOST__99"] == ("udp", "{env_EVFRAME_TEST_HOST}:99", "")
    assert places["udp_10.0.0.3___env_EVFRAME_TEST_PORT_"] == ("udp", "10.0.0.3:{env_EVFRAME_TEST_PORT}", "")
    assert places["__env_EVFRAME_TEST_SOCKET_"] == ("any", "{env_EVFRAME_TEST_SOCKET}", "")
    assert places["rabbitmq_guest_broker_5673_exchange_ex_vhost_v_key"] == ("amqp", "broker:5673", "/v")
    assert places["redis___user_broker_6379_1_stream_s"] == ("redis", "broker:6379", "/1")
    assert places["mi-http"] == ("http", "127.0.0.1:8888", "/mi")
    assert places["mi-datagram"] == ("udp", "127.0.0.1:8080", "")
    assert places["mi-fifo"] == ("fifo", "/tmp/opensips_fifo", "")
    assert not any("flatstore" in key for key in servers)
    assert [each["$ref"] for each in servers["mi-http"]["security"]] == [
        "#/components/securitySchemes/token",
        "#/components/securitySchemes/password",
    ]
    exchange = {"is": "routingKey", "exchange": {"name": "ex", "vhost": "v"}, "bindingVersion": "0.3.0"}
    assert channels["E_PIKE_BLOCKED"]["bindings"] == {"amqp": exchange}
    queue = {"is": "queue", "queue": {"name": "key", "vhost": "/"}, "bindingVersion": "0.3.0"}
    assert channels["E_UL_AOR_INSERT"]["bindings"] == {"amqp": queue}
    assert channels["E_A"]["bindings"] == {"kafka": {"topic": "topic", "bindingVersion": "0.5.0"}}
    assert channels["E_B___x"]["address"] == "E_B/~ x"
    assert sorted(channels["E_B___x"]["messages"]) == ["E_B___x", "E_B___x.xmlrpc"]


def test_a_command_is_an_operation_with_a_reply(documents):
    """Its request has each of its names and lists of parameters, and is answered with a result or an error."""
    document = json.loads(documents[0])
    operation = document["operations"]["receive.evi_subscribe"]
    payload = Draft7Validator(document["components"]["messages"]["receive.evi_subscribe"]["payload"])
    request = {"jsonrpc": "2.0", "id": 1, "method": "event_subscribe"}

    assert operation["action"] == "receive"
    assert len(operation["reply"]["messages"]) == 2
    assert payload.is_valid(request | {"params": ["E_A", "udp:127.0.0.1:1"]})
    assert payload.is_valid(request | {"params": {"event": "E_A", "socket": "udp:127.0.0.1:1", "expire": 60}})
    assert not payload.is_valid(request)
    assert not payload.is_valid(request | {"params": {"event": "E_A"}})
    assert not payload.is_valid(request | {"method": "evi:unsubscribe", "params": ["E_A", "udp:127.0.0.1:1"]})


def test_the_package_has_one_for_all_events():
    """Its file fits the specification, and has the schema of each event of the project."""
    shipped = json.loads(files("evframe_schema").joinpath("asyncapi.json").read_bytes())

    assert_fits(shipped)
    for event in evframe.EventInterface().events:
        schema = event_schema(event)
        schema.pop("description", None)
        assert shipped["components"]["messages"][event.name]["payload"] == schema


def test_a_socket_that_cannot_be_used(tmp_path):
    """It is an error, as `check` has it."""
    path = tmp_path / "evframe.toml"
    path.write_text('[[subscriptions]]\nevent = "E_A"\nsocket = "udp:s3cret"\n')
    done = CliRunner().invoke(main, ["schema", "asyncapi", "-c", str(path)])

    assert done.exit_code == 1
    assert done.output.startswith("Error: socket 'udp:s3cret': expected")


def test_the_subscribers_of_a_service():
    """A subscription that was made in Python is a server, too."""
    interface = evframe.EventInterface()
    interface.subscribe_event("E_PIKE_BLOCKED", "udp:127.0.0.1:9000")
    document = asyncapi_document(Gateway.of(interface))

    assert_fits(document)
    assert document["servers"]["udp_127.0.0.1_9000"]["host"] == "127.0.0.1:9000"


def test_without_a_management_interface_there_is_no_operation_of_one():
    """A service has events alone."""
    interface = evframe.EventInterface(plugins={})
    interface.register_event("E_A", {"x": int})
    document = asyncapi_document(Gateway(events=list(interface.events), commands=list(interface.commands)))

    assert_fits(document)
    assert list(document["operations"]) == ["send.E_A"]


def test_streams_that_clients_open(tmp_path):
    """The place where streams of events are opened is a server of every event, and none of management commands."""
    (tmp_path / "token").write_text("s3cret")
    (tmp_path / "token").chmod(0o600)
    config = parse_config(f'[plugins.sse]\nbind = "127.0.0.1:8890"\ntoken_file = "{tmp_path}/token"\n')
    document = asyncapi_document(Gateway.of(evframe.EventInterface(config), config))

    assert_fits(document)
    assert document["servers"]["sse"] == {
        "host": "127.0.0.1:8890",
        "protocol": "http",
        "pathname": "/events",
        "description": "Where a client subscribes by opening a stream, of the plugin `sse`.",
        "security": [{"$ref": "#/components/securitySchemes/token"}],
    }
    on_stream = [key for key, each in document["channels"].items() if {"$ref": "#/servers/sse"} in each["servers"]]
    assert sorted({*document["channels"]} - {*on_stream}) == ["management"]


def test_websockets():
    """A WebSocket has the events and takes commands: it is a server of both."""
    config = parse_config('[plugins.websocket]\nbind = "127.0.0.1:8891"\n[plugins.mi-http]\n')
    document = asyncapi_document(Gateway.of(evframe.EventInterface(config), config))

    assert_fits(document)
    server = document["servers"]["websocket"]
    assert (server["protocol"], server["host"], server["pathname"]) == ("ws", "127.0.0.1:8891", "/ws")
    for channel in ("E_PIKE_BLOCKED", "management"):
        assert {"$ref": "#/servers/websocket"} in document["channels"][channel]["servers"]


def test_subscribers_that_get_cloud_events():
    """An event has a message for each form in which it is sent, with its type; one without CloudEvents has none."""
    config = parse_config(
        """
[plugins.cloudevents]
type_prefix = "org.example."
[plugins.datagram]
formats = [{ socket = "udp:10.0.0.1:*", format = "cloudevents" }]
[plugins.kafka]
format = "cloudevents"
[[plugins.webhook.targets]]
url = "https://events.example/*"
format = "cloudevents-batch"
"""
    )
    interface = evframe.EventInterface(config)
    interface.register_event("E_A", {"x": int})
    sockets = ("udp:10.0.0.1:99", "udp:10.0.0.2:99", "kafka:b/topic", "https://events.example/a", "https://b.example/a")
    for socket in sockets:
        interface.subscribe_event("E_A", socket)
    interface.register_event("E_B")
    interface.subscribe_event("E_B", "udp:10.0.0.2:99")
    document = asyncapi_document(Gateway.of(interface))

    assert_fits(document)
    messages = document["components"]["messages"]
    assert [key for key in messages if key.startswith(("E_A.", "E_B."))] == [
        f"E_A.cloudevents.{mode}" for mode in ("structured", "binary", "batch")
    ]
    (structured,) = Envelope("//a", "org.example.").structured([interface.event("E_A").snapshot({"x": 1}, 0.0)])
    validators = {
        mode: Draft7Validator(messages[f"E_A.cloudevents.{mode}"]["payload"])
        for mode in ("structured", "batch", "binary")
    }
    event = json.loads(structured)
    for value in (event, event | {"traceparent": "00"}):
        assert validators["structured"].is_valid(value)
        assert validators["batch"].is_valid([value, value])
    assert validators["binary"].is_valid({"x": 1})
    for wrong in (event | {"type": "E_A"}, event | {"data": {"x": "text"}}, {"jsonrpc": "2.0"}):
        assert not validators["structured"].is_valid(wrong)
    assert "org.example.E_A" in messages["E_A.cloudevents.binary"]["description"]
