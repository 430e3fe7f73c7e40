"""The options of the transport: the table ``[plugins.syslog]``."""

from __future__ import annotations

import re
import socket
from typing import Any, Final, Literal

import attrs
from evframe_options import Validator, matching, one_of

from evframe.plugin import at_least, file_digests, within

FACILITIES: Final = (
    *("kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp"),
    *("ntp", "audit", "alert", "clock"),
    *(f"local{number}" for number in range(8)),
)
SEVERITIES: Final = ("emerg", "alert", "crit", "err", "warning", "notice", "info", "debug")
_SD_ID: Final = r"[!#-<>?A-\\^-~]{1,21}@(?=[0-9.]{1,9}$)[0-9]+(?:\.[0-9]+)*"  # without = " ] and @
DELIVERY: Final = "delivery"
"""What the name of the structured data about the delivery begins with; a message has each name once."""
Content = Literal["both", "structured", "payload"]


def _severities(_: Any, attribute: attrs.Attribute[Any], value: dict[str, str]) -> None:
    for pattern, name in value.items():
        if name not in SEVERITIES:
            raise ValueError(f"{attribute.name}.{pattern}: expected one of {', '.join(SEVERITIES)}, got {name!r}")


def _printable(most: int) -> Validator:
    return matching(f"[!-~]{{1,{most}}}", f"1 to {most} characters of ASCII without blanks")


def _is_no_delivery(_: Any, attribute: attrs.Attribute[Any], value: str) -> None:
    if value.startswith(f"{DELIVERY}@"):
        raise ValueError(f"{attribute.name}: expected another name than that of the delivery, got {value!r}")


@attrs.frozen
class Options:
    """How events become messages of syslog."""

    facility: str = attrs.field(default="local0", validator=one_of(*FACILITIES))
    """The facility of all messages, by its keyword, such as ``daemon`` or ``local0``."""
    severity: str = attrs.field(default="notice", validator=one_of(*SEVERITIES))
    """The severity, by its keyword: ``emerg``, ``alert``, ``crit``, ``err``, ``warning``, ``notice``, ``info`` or
    ``debug``."""
    severities: dict[str, str] = attrs.field(factory=dict, validator=_severities)
    """The severity of some events, by patterns of their names, such as ``E_PIKE_*``; the first that fits counts."""
    content: Content = "both"
    """What a message has: the parameters as structured data, the JSON-RPC notification as its text, or both."""
    sd_id: str = attrs.field(
        default="event@32473",
        validator=[matching(_SD_ID, "a name, '@' and an enterprise number"), _is_no_delivery],
    )
    """The name of the structured data, with the private enterprise number of your organisation; 32473 is the number for
    examples."""
    hostname: str | None = attrs.field(default=None, validator=_printable(255))
    """The name of this machine; that of the system without it."""
    app_name: str = attrs.field(default="evframe", validator=_printable(48))
    """The name of this program."""
    max_bytes: int = attrs.field(default=8192, validator=at_least(480))
    """The longest message; a longer event fails with ``too_large``, because receivers cut longer messages off."""
    ca_file: str | None = None
    """The certificates that ``tls:`` trusts; those of the system without it."""
    cert_file: str | None = None
    """The certificate that ``tls:`` shows to a receiver that asks for one, in PEM."""
    key_file: str | None = attrs.field(default=None)
    """The key of that certificate; None when it is in `cert_file`."""
    connect_timeout_ms: int = attrs.field(default=3000, validator=at_least(1))
    """How long making a connection may take, once the name is looked up, and how long the handshake of TLS."""
    resend_ms: int = attrs.field(default=1000, validator=at_least(0))
    """Send again what was acknowledged so recently when the receiver ends a connection, or it fails; 0 prefers the
    loss."""
    user_timeout_ms: int = attrs.field(default=10_000, validator=within(0, 2**31 - 1))
    """How long the receiver's kernel may leave what was sent without an acknowledgement; 0 leaves that to this
    kernel."""
    max_in_flight: int = attrs.field(default=65_536, validator=at_least(1))
    """How many events of a subscriber may be under way over a connection without being acknowledged."""
    contents: tuple[bytes | None, ...] = file_digests("ca_file", "cert_file", "key_file")

    @key_file.validator
    def _check_key_file(self, attribute: attrs.Attribute[Any], value: str | None) -> None:
        if value is not None and self.cert_file is None:
            raise ValueError(f"{attribute.name}: expected a cert_file, too, got none")

    @property
    def own_name(self) -> str:
        """The name of this machine, as a message can have it."""
        found = self.hostname or socket.gethostname()
        return re.sub(r"[^!-~]", "_", found)[:255] or "-"
