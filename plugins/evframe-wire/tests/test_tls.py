"""How connections are encrypted."""

import ssl
import subprocess

import pytest
from evframe_wire.tls import client_context, server_context


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
