"""Who may make a request, and that no other reads it on the way."""

import asyncio
import base64
import json
import logging
import ssl
import subprocess
from importlib.metadata import entry_points

import pytest
from evframe_http import Guard
from evframe_mi import Management
from evframe_mi_http import HttpManagement, Options
from stream_servers import connection_to

import evframe
from evframe.config import parse_config
from evframe.exceptions import ConfigError

PWD = b'{"jsonrpc": "2.0", "method": "pwd", "id": "1"}'
TOKEN = "t0ken-of-the-gateway"


def basic(pair):
    return f"Authorization: Basic {base64.b64encode(pair.encode()).decode()}"


@pytest.fixture
def secret(tmp_path):
    """Write a file that others cannot read: `secret("name", "text")`."""

    def write(name, text, mode=0o600):
        path = tmp_path / name
        path.write_text(text + "\n")
        path.chmod(mode)
        return str(path)

    return write


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """Return the files of a certificate and its key."""
    folder = tmp_path_factory.mktemp("tls")
    files = str(folder / "cert.pem"), str(folder / "key.pem")
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-days", "2"]
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", *subject, "-out", files[0], "-keyout", files[1]],
        check=True,
        capture_output=True,
    )
    return files


async def ask(address, *headers, tls=None, body=PWD, count=1):
    """Return the statuses, and the head and body of the last answer."""
    statuses = []
    async with asyncio.timeout(10), connection_to(address, ssl=tls) as (reader, writer):
        for _ in range(count):
            lines = ["POST /mi HTTP/1.1", "Host: localhost", "Content-Type: application/json", *headers]
            writer.write("\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""]).encode() + body)
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            answer = await reader.readexactly(int(head.lower().split("content-length: ")[1].split("\r\n")[0]))
            statuses.append(int(head.split()[1]))
    return statuses, head, answer


def gateway(**options):
    return evframe.EventInterface(
        plugins={"mi": Management(), "mi-http": HttpManagement(Options(bind="127.0.0.1:0", **options))}
    )


@pytest.mark.parametrize(
    ("header", "status"),
    [
        (f"Authorization: Bearer {TOKEN}", 200),
        (f"authorization: bearer  {TOKEN} ", 200),
        ("X-None: 1", 401),
        ("Authorization: Bearer", 401),
        ("Authorization: Bearer ", 401),
        (f"Authorization: Bearer {TOKEN}x", 401),
        (f"Authorization: Bearer {TOKEN[:-1]}", 401),
        (f"Authorization: {TOKEN}", 401),
        (f"Authorization: Token {TOKEN}", 401),
        (basic(f"x:{TOKEN}"), 401),
        ("Authorization: Bearer \xff\xfe", 401),
    ],
)
async def test_token(secret, header, status):
    """Only a request with the token is answered; another learns what is missing, and is counted."""
    async with gateway(token_file=secret("token", TOKEN)) as events:
        events.register_event("E_A")
        address = events.plugin("mi-http").address
        (got,), head, body = await ask(address, header)
        counts = events.commands.find("mi_http:counters").run({})

    assert got == status
    assert counts == {"requests": status == 200, "replies": status == 200, "refused": status == 401}
    if status == 401:
        assert 'WWW-Authenticate: Bearer realm="OpenSIPS MI"\r\n' in head
        assert body == b"<html><body>Unauthorized</body></html>"


async def test_every_path_and_method_is_guarded(secret):
    """Without the token no answer says anything, not even which paths there are."""
    async with gateway(token_file=secret("token", TOKEN)) as events:
        for line in (b"GET /mi", b"PUT /", b"OPTIONS /x", b"POST /nosuch"):
            async with connection_to(events.plugin("mi-http").address) as (reader, writer):
                writer.write(line + b" HTTP/1.1\r\nHost: localhost\r\n\r\n")
                assert (await reader.readline()).startswith(b"HTTP/1.1 401")


@pytest.mark.parametrize(
    ("header", "status"),
    [(basic("opensips:pa:ss wörd"), 200), (basic("opensips:pa:ss"), 401), (basic("other:pa:ss wörd"), 401), ("X-None: 1", 401)],
)  # fmt: skip
async def test_basic(secret, header, status):
    """A name and a password, as in the original."""
    options = {
        "auth_username": "opensips",
        "auth_password_file": secret("password", "pa:ss wörd"),
        "auth_realm": "Here",
    }
    async with gateway(**options) as events:
        (got,), head, _ = await ask(events.plugin("mi-http").address, header)

    assert got == status
    assert ('WWW-Authenticate: Basic realm="Here"\r\n' in head) == (status == 401)


async def test_token_or_password(secret):
    """With both, either of the two will do, and a request with neither learns of both."""
    options = {
        "auth_username": "a",
        "auth_password_file": secret("password", "b"),
        "token_file": secret("token", TOKEN),
    }
    async with gateway(**options) as events:
        address = events.plugin("mi-http").address
        assert (await ask(address, basic("a:b"), count=2))[0] == [200, 200]
        assert (await ask(address, f"Authorization: Bearer {TOKEN}"))[0] == [200]
        statuses, head, _ = await ask(address)
    assert statuses == [401]
    assert head.count("WWW-Authenticate") == 2


async def test_secrets_are_not_shown(secret, caplog):
    """Neither a secret nor what somebody sent in its place is logged, or part of a text about the options."""
    caplog.set_level(logging.DEBUG)
    async with gateway(token_file=secret("token", TOKEN)) as events:
        for header in (f"Authorization: Bearer {TOKEN}", "Authorization: Bearer guessed-token"):
            await ask(events.plugin("mi-http").address, header)
        counters = json.dumps(events.commands.find("mi_http:counters").run({}))
        options = events.plugin("mi-http")._rules.options
    shown = (
        counters
        + repr(options)
        + repr(Guard(options.credentials, logging.getLogger()))
        + "".join(str(record.__dict__) for record in caplog.records)
    )
    assert "a management request was refused" in shown
    assert TOKEN not in shown
    assert "guessed-token" not in shown


@pytest.mark.parametrize("bind", ["0.0.0.0:8888", "[::]:0", "192.0.2.1:8888", "gateway.example:8888"])
def test_remote_without_a_token(bind, secret):
    """An address that others can reach needs a token, and the error says both ways out."""
    with pytest.raises(ValueError, match="^bind: .*bind to 127.0.0.1, or set token_file"):
        Options(bind=bind)
    Options(bind=bind, token_file=secret("token", TOKEN))
    Options(bind=bind, auth_username="a", auth_password_file=secret("password", "b"))


@pytest.mark.parametrize("mode", [0o644, 0o604, 0o602])
def test_secret_that_others_can_read(secret, mode):
    """A file that others can use is an error of the configuration that says so, with its path."""
    path = secret("token", TOKEN, mode)
    with pytest.raises(ConfigError) as caught:
        evframe.EventInterface(parse_config(f'[plugins.mi-http]\ntoken_file = "{path}"\n'))
    assert caught.value.problems == [
        f"plugins.mi-http.token_file: expected a file that others cannot use (chmod o= {path}), got mode {mode:o}"
    ]
    with pytest.raises(ValueError, match="^auth_password_file: expected a file that others cannot use"):
        Options(auth_username="a", auth_password_file=path)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"token_file": "/no/such/file"}, "token_file: expected a file that can be read, got '/no/such/file'"),
        ({"auth_username": "a"}, "auth_username: expected it together with auth_password_file"),
        ({"tls_cert_file": "/no/such/file"}, "tls_cert_file: expected it together with tls_key_file"),
        ({"tls_key_file": "/no/such/file"}, "tls_cert_file: expected it together with tls_key_file"),
        ({"tls_cert_file": "/no/cert", "tls_key_file": "/no/key"}, "tls_cert_file: expected a certificate that fits"),
    ],
)
def test_half_of_two(options, problem):
    """What is missing is named."""
    with pytest.raises(ValueError, match=f"^{problem}"):
        Options(**options)


def test_password_without_a_name(secret):
    """A password without a name is an error, because it would protect nothing."""
    with pytest.raises(ValueError, match="^auth_username: expected it together with auth_password_file"):
        Options(auth_password_file=secret("password", "b"))


def test_name_with_a_colon(secret):
    """A name cannot have a colon, which ends it."""
    with pytest.raises(ValueError, match="^auth_username: expected a name without a colon"):
        Options(auth_username="a:b", auth_password_file=secret("password", "b"))


async def test_tls(certificate, secret):
    """With a certificate all connections are TLS, with a token too, and the certificate can be checked."""
    tls = ssl.create_default_context(cafile=certificate[0])
    options = {"tls_cert_file": certificate[0], "tls_key_file": certificate[1], "token_file": secret("token", TOKEN)}
    async with gateway(**options) as events:
        _, port = events.plugin("mi-http").address
        token = f"Authorization: Bearer {TOKEN}"
        statuses, _, body = await ask(("localhost", port), token, tls=tls, count=2)
        assert statuses == [200, 200]
        assert b'"result"' in body
        assert (await ask(("localhost", port), tls=tls))[0] == [401]
        with pytest.raises((OSError, asyncio.IncompleteReadError)):
            await ask(("localhost", port), token)


def test_key_with_a_passphrase(certificate, tmp_path):
    """A key that needs a passphrase is an error, not a question."""
    key = str(tmp_path / "key.pem")
    subprocess.run(
        ["openssl", "rsa", "-aes256", "-passout", "pass:secret", "-in", certificate[1], "-out", key],
        check=True,
        capture_output=True,
    )
    with pytest.raises(ValueError, match="^tls_cert_file: expected a certificate that fits tls_key_file"):
        Options(tls_cert_file=certificate[0], tls_key_file=key)


async def test_changed_token_is_read_when_a_request_is_refused(secret, caplog):
    """A client with the new token of a changed file is let in, before any reload; the old one is refused from then on."""
    caplog.set_level(logging.INFO, "evframe.mi-http")
    path = secret("token", TOKEN)

    async def statuses(*tokens):
        return [(await ask(address, f"Authorization: Bearer {token}"))[0][0] for token in tokens]

    async with gateway(token_file=path) as events:
        address = events.plugin("mi-http").address
        assert await statuses(TOKEN, "new") == [200, 401]
        secret("token", "new")
        assert await statuses(TOKEN, "new", TOKEN) == [200, 200, 401]
        secret("token", "two\nlines")
        assert await statuses("new", "two", "new") == [200, 401, 200]
    messages = [record.message for record in caplog.records]
    assert messages.count("a changed token or password was read") == 1
    assert messages.count("a changed token or password cannot be used") == 1


@pytest.mark.parametrize("option", ["token", "auth_password"])
async def test_a_secret_of_the_table_comes_from_a_reference(tmp_path, monkeypatch, option):
    """`token` and `auth_password` take references; the value is needed for access, and a reload reads it again."""
    path = tmp_path / "secret"
    path.write_text("first-secret\n")
    others = sorted({entry.name for entry in entry_points(group="evframe")} - {"mi", "mi-http"})
    user = "auth_username = 'ops'" if option == "auth_password" else ""
    text = f"plugins.disable = {others}\n[plugins.mi-http]\nbind = '127.0.0.1:0'\n{user}\n"
    loaded = parse_config(text + f"{option} = '${{file:{path}}}'\n")

    def header(value):
        return basic(f"ops:{value}") if user else f"Authorization: Bearer {value}"

    async with evframe.EventInterface(loaded) as events:
        assert "first-secret" not in repr(events.plugin("mi-http")._rules.options)
        address = events.plugin("mi-http").address
        statuses = [(await ask(address, header(value)))[0] for value in ("first-secret", "other", "${file:x}")]
        assert statuses == [[200], [401], [401]]
        path.write_text("second-secret\n")
        assert events.reload(loaded).plugins == ["mi-http"]
        statuses = [(await ask(address, header(value)))[0] for value in ("first-secret", "second-secret")]
        assert statuses == [[401], [200]]


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"token": ""}, "token: expected one line of text"),
        ({"token": "swordfish\nx"}, "token: expected one line of text"),
        ({"token": "swordfish", "token_file": "here"}, "token: expected either it or token_file"),
        ({"auth_username": "a"}, "auth_username: expected it together with auth_password_file or auth_password"),
        ({"auth_password": "swordfish"}, "auth_username: expected it together with auth_password_file or auth_pa"),
        (
            {"auth_username": "a", "auth_password": "swordfish", "auth_password_file": "here"},
            "auth_password: expected either it or auth_password_file",
        ),
    ],
)
def test_secrets_of_the_table_that_do_not_fit(secret, options, problem):
    """One of the two forms has the secret, and no error shows it."""
    options = {name: secret("here", "x") if value == "here" else value for name, value in options.items()}
    with pytest.raises(ValueError, match=problem) as caught:
        Options(**options)
    assert "swordfish" not in str(caught.value)
