"""Certificates for the tests, made with openssl."""

import shutil
import subprocess


def make(folder, name="certificate", subject="localhost", issuer=None):
    """Make a certificate with its key, its own issuer unless there is one; return one file with both.

    The certificate alone is in `name.pem`, its key in `name-key.pem`.
    """
    if shutil.which("openssl") is None:
        raise RuntimeError("openssl is needed for certificates: apt-get install -y openssl")
    certificate, key, both = (folder / f"{name}{end}.pem" for end in ("", "-key", "-both"))
    words = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={subject}"]
    words += ["-addext", f"subjectAltName=DNS:{subject}", "-keyout", key, "-out", certificate]
    if issuer is None:
        words += ["-addext", "keyUsage=digitalSignature,keyEncipherment,keyCertSign,cRLSign"]  # for Python 3.13
    else:
        words += ["-CA", issuer, "-CAkey", issuer, "-addext", "basicConstraints=CA:FALSE"]
    subprocess.run(["openssl", *words], check=True, capture_output=True, timeout=60)
    both.write_text(key.read_text() + certificate.read_text())
    return both
