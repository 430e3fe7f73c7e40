"""How connections are encrypted."""

import ssl
import subprocess

import pytest
from evframe_wire.exceptions import ConfigError
from evframe_wire.tls import ClientTls, checked_context, client_context, server_context


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """Return the path of a certificate for localhost, with its key."""
    path = str(tmp_path_factory.mktemp("tls") / "both.pem")
    words = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=localhost"]
    words += ["-addext", "subjectAltName=DNS:localhost", "-keyout", path, "-out", path + ".cert"]
    subprocess.run(words, check=True, capture_output=True)
    with open(path, "a") as both, open(path + ".cert") as cert:
        both.write(cert.read())
    return path


def test_old_versions_are_refused(certificate):
    """Both sides want TLS 1.2 at least, and a client the name of the server."""
    server, client = server_context(certificate, None), client_context(certificate)

    assert server.minimum_version == client.minimum_version == ssl.TLSVersion.TLSv1_2
    assert (client.check_hostname, client.verify_mode) == (True, ssl.CERT_REQUIRED)
    with pytest.raises(OSError, match="No such file"):
        client_context("/no/such/file")


@pytest.mark.parametrize("field", ["ca_file", "cert_file"])
def test_file_of_an_option(field):
    """The error names the option whose file cannot be used."""
    for make in (checked_context, ClientTls):
        with pytest.raises(ConfigError, match=rf"^{field}: expected certificates, got '/no/such/file': "):
            make(**{field: "/no/such/file"})


def test_certificate_of_the_client(certificate):
    """It is shown to a server; a file without its key is an error, and no question."""
    assert checked_context(cert_file=certificate)
    with pytest.raises(ValueError, match="^cert_file: expected certificates"):
        checked_context(cert_file=f"{certificate}.cert")


def test_options_of_a_client(certificate, monkeypatch):
    """A file is read at once; the certificates of the system are read at the first use, and once."""
    contexts = []
    monkeypatch.setattr("evframe_wire.tls.client_context", lambda *files: contexts.append(files) or object())

    plain = ClientTls()
    assert not contexts
    assert plain.context is plain.context
    assert contexts == [(None,)]
    ClientTls(certificate)
    assert contexts == [(None,), (certificate,)]
