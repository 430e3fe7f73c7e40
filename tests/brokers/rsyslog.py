"""A rsyslog of the tests' own, which receives over UDP, TCP, TLS and a UNIX socket, and writes what it has parsed."""

import json
import socket
from pathlib import Path

from brokers import certificates
from brokers.own import OwnBroker, free_port

SERVER = "/usr/sbin/rsyslogd"
MISSING = (
    "rsyslog with TLS is needed: apt-get install -y --no-install-recommends rsyslog rsyslog-openssl, "
    "or leave these tests out with --without-brokers"
)
FIELDS = {
    "priority": "pri",
    "version": "protocol-version",
    "at": "timereported",
    "host": "hostname",
    "app": "app-name",
    "process": "procid",
    "id": "msgid",
    "structured": "structured-data",
    "text": "msg",
    "raw": "rawmsg",
}
_BEGIN = b'{"priority":'  # of a line of the file
CONFIGURATION = """
global(workDirectory="{folder}" net.enableDNS="off" maxMessageSize="{most}"
  defaultNetstreamDriverCAFile="{folder}/authority.pem"
  defaultNetstreamDriverCertFile="{folder}/certificate.pem"
  defaultNetstreamDriverKeyFile="{folder}/certificate-key.pem")
module(load="imudp")
module(load="imtcp")
module(load="imuxsock" sysSock.use="off")
module(load="mmpstrucdata")
template(name="parsed" type="list") {{
  constant(value="{{") {fields}
  constant(value="\\"data\\":[") property(name="$!rfc5424-sd") constant(value="]}}\\n")
}}
ruleset(name="keep") {{
  action(type="mmpstrucdata" sd_name.lowercase="off")
  action(type="omfile" file="{folder}/parsed" template="parsed" flushOnTXEnd="on" asyncWriting="off")
}}
input(type="imudp" address="127.0.0.1" port="{port}" ruleset="keep" rcvbufSize="8m")
input(type="imtcp" address="127.0.0.1" port="{port}" ruleset="keep")
input(type="imtcp" address="127.0.0.1" port="{tls_port}" ruleset="keep" streamDriver.name="ossl" streamDriver.mode="1"
  streamDriver.authMode="anon")
input(type="imtcp" address="127.0.0.1" port="{clients_port}" ruleset="keep" streamDriver.name="ossl"
  streamDriver.mode="1" streamDriver.authMode="x509/certvalid")
input(type="imuxsock" socket="{folder}/log" useSpecialParser="off" parseHostname="on" ruleset="keep")
"""


class Rsyslog(OwnBroker):
    """Starts in a tenth of a second; `stop` and `start` again keep the ports and the file."""

    name = "rsyslog"

    def __init__(self, most="8k"):
        if not list(Path("/usr/lib").glob("*/rsyslog/lmnsd_ossl.so")):
            raise RuntimeError(MISSING)
        super().__init__()
        self.port, self.tls_port, self.clients_port = free_port(), free_port(), free_port()
        self.path = self.folder / "log"
        self.authority = self.folder / "authority.pem"
        issuer = certificates.make(self.folder, "authority")
        certificates.make(self.folder, issuer=issuer)
        self.certificate = certificates.make(self.folder, "client", "client", issuer)
        fields = "\n".join(
            f'property(outname="{key}" name="{name}" format="jsonf"'
            + (' dateFormat="rfc3339"' if key == "at" else "")
            + ') constant(value=",")'
            for key, name in FIELDS.items()
        )
        self._configuration = self.folder / "rsyslog.conf"
        self._configuration.write_text(
            CONFIGURATION.format(
                folder=self.folder,
                most=most,
                fields=fields,
                port=self.port,
                tls_port=self.tls_port,
                clients_port=self.clients_port,
            )
        )

    def launch(self):
        return self.run(SERVER, "-n", "-f", self._configuration, "-i", self.folder / "pid")

    def answers(self):
        try:
            for port in (self.port, self.tls_port, self.clients_port):
                socket.create_connection(("127.0.0.1", port), 1).close()
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as probe:
                probe.connect(str(self.path))
        except OSError:
            return False
        return True

    def messages(self, host=None):
        """Return what was received so far, of one *host*, as a dict of its parts each."""
        path = self.folder / "parsed"
        lines = path.read_bytes().split(b"\n")[:-1] if path.exists() else []
        mark = b"" if host is None else b'"%b"' % host.encode()
        # A kill cuts a line in its midst, and the next process writes behind it.
        whole = (line[line.rindex(_BEGIN) :] for line in lines)
        found = [json.loads(line.decode(errors="surrogateescape")) for line in whole if mark in line]
        return [{**each, "data": each["data"][0] if each["data"] else None} for each in found]
