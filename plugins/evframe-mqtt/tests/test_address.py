"""The sockets of the transport, and topics with parameters."""

import pytest
from evframe_mqtt import LoginOptions, MqttTransport, Options, parse

import evframe
from evframe.exceptions import SocketError


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("mqtt://h/a", "mqtt://h:1883/a"),
        ("mqtts://H.example/a/b/c", "mqtts://h.example:8883/a/b/c"),
        ("mqtt://[::1]/a", "mqtt://[::1]:1883/a"),
        ("mqtt://[::1]:1884//a/", "mqtt://[::1]:1884//a/"),
        ("mqtt://u%40x@h:7/a%20b%3f%25", "mqtt://u%40x@h:7/a%20b%3F%25"),
        ("mqtt://h/grün?qos=1", "mqtt://h:1883/grün"),
        ("mqtt://h/a?retain&qos=0&expiry_s=60", "mqtt://h:1883/a?qos=0&retain&expiry_s=60"),
        (
            "mqtt://h/a?property.b=1%262&property.a%3D=x&content_type=text/plain",
            "mqtt://h:1883/a?content_type=text/plain&property.a%3D=x&property.b=1%262",
        ),
        ("mqtt://h/calls/{caller}/{2}", "mqtt://h:1883/calls/{caller}/{2}"),
        ("mqtt://h/a%7Bb%7D", "mqtt://h:1883/a{{b}"),
        ("mqtt://h/a?property.x=%7B{b}", "mqtt://h:1883/a?property.x={{{b}"),
        ("mqtt://h/$aws/rules/x", "mqtt://h:1883/$aws/rules/x"),
    ],
)
def test_canonical_texts(text, canonical):
    """A text is made canonical, and that is the same socket when it is parsed again."""
    socket = parse(*text.split(":", 1))
    assert socket.canonical == canonical
    assert parse(*canonical.split(":", 1)) == socket


@pytest.mark.parametrize(
    "text",
    [
        "h/a",
        "//h",
        "//h/",
        "///a",
        "//h:0/a",
        "//h:70000/a",
        "//u:s3cret@h/a",
        "//u:s3cret/x@h/a",
        "//h/a/+/b",
        "//h/a/#",
        "//h/a%2B",
        "//h/a%00",
        "//h/a%0Ab",
        "//h/a%ff",
        "//h/a%2",
        "//h/a\udcff",
        "//h/a?qos=2",
        "//h/a?retain=1",
        "//h/a?expiry_s=4294967296",
        "//h/a?property.=1",
        "//h/a?other=1",
        "//h/{a",
        "//h/{%7Bx%7D",
        "//h/" + "x" * 65536,
    ],
)
def test_what_is_refused(text):
    """Texts that are no socket are refused with what is expected, and no password is in an error."""
    events = evframe.EventInterface(plugins={"mqtt": MqttTransport()})
    events.register_event("E_TEST")
    with pytest.raises(SocketError, match="expected") as caught:
        events.subscribe_event("E_TEST", f"mqtt:{text}")
    assert "s3cret" not in str(caught.value)


class Values(dict):
    """An event, as far as a template reads it."""


@pytest.mark.parametrize(
    ("value", "level"),
    [
        ("+49/30#1", "%2B49%2F30%231"),
        ("a\0b\n", "a%00b%0A"),
        ("$SYS", "%24SYS"),
        ("50%", "50%25"),
        ("grün", "grün"),
        ("\udcff\ufffe", "%ED%B3%BF%EF%BF%BE"),
        ("", ""),
        (7, "7"),
        (True, "true"),
    ],
)
def test_levels_of_parameters(value, level):
    """A parameter stays within its level of the topic: what has a meaning there is percent-encoded."""
    socket = parse("mqtt", "//h/a/{p}/b?property.q={p}")
    assert socket.parameters == ("p", "p")
    topic, properties = socket.route.of(Values(p=value))
    assert topic == f"a/{level}/b"
    assert [name for name, _ in properties] == ["q"]
    properties[0][1].encode()


@pytest.mark.parametrize(
    ("text", "value", "reason"),
    [
        ("{p}", "", "unfit_parameter"),
        ("a/{p}", "x" * 65536, "unfit_parameter"),
        ("a?property.q={p}", "x" * 65536, "unfit_parameter"),
        ("a/{p}", ["x"], "unfit_parameter"),
        ("a/{p}", None, "missing_parameter"),
        ("a/{other}", "x", "missing_parameter"),
    ],
)
def test_events_that_have_no_topic(text, value, reason):
    """An event that makes no topic, or no property, has a reason."""
    with pytest.raises(ValueError, match=reason):
        parse("mqtt", f"//h/{text}").route.of(Values(p=value))


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"server": "mqtt:h"}, "server: expected mqtt://"),
        ({"server": "http://h"}, "server: expected mqtt://"),
        ({"server": "mqtt://h:x"}, "server: expected a port"),
        ({"server": "mqtt://u:s3cret@h"}, "server: expected .* without a user"),
        ({"server": "mqtt://h", "cert_file": "x"}, "cert_file: expected a server with mqtts"),
        ({"server": "mqtt://h", "password_file": "/none"}, "password_file: expected a file"),
        ({"server": "mqtt://h", "password": "s3cret", "password_file": "/etc/hostname"}, "beside a password"),
    ],
)
def test_options_of_logins(options, problem):
    """A login that cannot be used is an error of the configuration, without its password."""
    with pytest.raises(ValueError, match=problem) as caught:
        LoginOptions(**options)
    assert "s3cret" not in str(caught.value)
    assert "s3cret" not in repr(LoginOptions("mqtt://h", password="s3cret"))


def test_logins_and_clients():
    """A socket with a login of the configuration is one of the configuration alone, unless the login says otherwise."""
    logins = [LoginOptions("mqtt://h", "a", "x"), LoginOptions("mqtts://h:8883", "b", "y", for_clients=True)]
    transport = MqttTransport(Options(logins=logins))

    def reserved(text):
        return transport.on_subscribe(*text.split(":", 1)).reserved is not None

    assert reserved("mqtt://h/t")
    assert reserved("mqtt://a@H:1883/t")
    assert not reserved("mqtt://b@h/t")
    assert not reserved("mqtt://h:1884/t")
    assert not reserved("mqtts://h/t")


def test_certificates_are_read_at_the_start(tmp_path):
    """Files that are no certificates are an error that names the option."""
    (tmp_path / "none.pem").write_text("none")
    file = str(tmp_path / "none.pem")
    for options in ({"ca_file": file}, {"logins": [LoginOptions("mqtts://h", cert_file=file)]}):
        with pytest.raises(evframe.ConfigError, match=r"^(ca|cert)_file: expected certificates"):
            MqttTransport(Options(**options))
