"""Properties of librdkafka that no option of aiokafka stands for: those without an effect here, and those refused."""

from __future__ import annotations

from typing import Final

IGNORED: Final[dict[str, tuple[str, ...]]] = {
    "the library manages its connections itself": (
        "broker.address.family",
        "broker.address.ttl",
        "client.dns.lookup",
        "metadata.recovery.rebootstrap.trigger.ms",
        "metadata.recovery.strategy",
        "reconnect.backoff.jitter.ms",
        "reconnect.backoff.max.ms",
        "reconnect.backoff.ms",
        "retry.backoff.max.ms",
        "socket.blocking.max.ms",
        "socket.connection.setup.timeout.ms",
        "socket.keepalive.enable",
        "socket.max.fails",
        "socket.nagle.disable",
        "socket.receive.buffer.bytes",
        "socket.send.buffer.bytes",
        "socket.timeout.ms",
        "topic.metadata.propagation.max.ms",
        "topic.metadata.refresh.fast.cnt",
        "topic.metadata.refresh.fast.interval.ms",
        "topic.metadata.refresh.sparse",
    ),
    "the library finds the versions of the brokers out": (
        "api.version.fallback.ms",
        "api.version.request",
        "api.version.request.timeout.ms",
        "broker.version.fallback",
    ),
    "logs and statistics are those of evframe": (
        "debug",
        "delivery.report.only.error",
        "enable.metrics.push",
        "enable.random.seed",
        "enabled_events",
        "internal.termination.signal",
        "log.connection.close",
        "log.queue",
        "log.thread.name",
        "log_level",
        "produce.offset.report",
        "statistics.interval.ms",
    ),
    "events wait in queues of evframe, which go out in batches": (
        "batch.num.messages",
        "max.in.flight",
        "max.in.flight.requests.per.connection",
        "message.copy.max.bytes",
        "queue.buffering.backpressure.threshold",
        "queue.buffering.max.kbytes",
        "queue.buffering.max.messages",
        "receive.message.max.bytes",
        "sticky.partitioning.linger.ms",
    ),
    "the library has its own setting": (
        "compression.level",
        "request.timeout.ms",
        "transaction.timeout.ms",
    ),
    "records are fetched as far as the subscribers have room": (
        "coordinator.query.interval.ms",
        "enable.auto.offset.store",
        "enable.partition.eof",
        "fetch.error.backoff.ms",
        "fetch.queue.backoff.ms",
        "max.poll.interval.ms",
        "queued.max.messages.kbytes",
        "queued.min.messages",
    ),
    "it is of the other direction": (
        "acks",
        "auto.commit.interval.ms",
        "auto.offset.reset",
        "batch.size",
        "check.crcs",
        "client.rack",
        "compression.codec",
        "compression.type",
        "delivery.timeout.ms",
        "enable.auto.commit",
        "enable.idempotence",
        "fetch.max.bytes",
        "fetch.message.max.bytes",
        "fetch.min.bytes",
        "fetch.wait.max.ms",
        "group.id",
        "group.instance.id",
        "heartbeat.interval.ms",
        "isolation.level",
        "linger.ms",
        "max.partition.fetch.bytes",
        "message.max.bytes",
        "message.timeout.ms",
        "partition.assignment.strategy",
        "queue.buffering.max.ms",
        "request.required.acks",
        "session.timeout.ms",
    ),
}
"""Why a property has no effect, and those of which this is true; one that an option stands for has an effect."""

HELD: Final[dict[str, tuple[str, str]]] = {
    "allow.auto.create.topics": ("true", "the brokers say whether they create topics"),
    "enable.gapless.guarantee": ("false", "what is not acknowledged is sent again"),
    "group.protocol": ("classic", "the library has no other one"),
    "group.protocol.type": ("consumer", "the library has no other one"),
    "enable.sasl.oauthbearer.unsecure.jwt": ("false", "tokens come from a file, a function or a provider"),
    "sasl.oauthbearer.grant.type": ("client_credentials", "there is no other one here"),
    "sasl.oauthbearer.metadata.authentication.type": ("none", "tokens come from a file, a function or a provider"),
    "offset.store.method": ("broker", "the brokers keep the offsets"),
    "partitioner": ("murmur2_random", "a record goes to the partition that clients in Java choose for its key"),
    "queuing.strategy": ("fifo", "the order of events holds"),
}
"""Properties with the only value that is accepted, since it is what happens anyway, and why."""

_RETRIES: Final = ("message.send.max.retries", "retries")
REFUSED: Final[dict[str, str]] = {
    **dict.fromkeys(_RETRIES, "a number above 0, because what is not acknowledged is sent again"),
    "transactional.id": "no transactions, because each record counts by itself",
    "topic.blacklist": "topics by their names",
    "group.remote.assignor": "the strategy in partition.assignment.strategy",
    **dict.fromkeys(
        ("ssl.certificate.pem", "ssl.key.pem", "ssl.keystore.location", "ssl.keystore.password"),
        "a certificate as PEM in ssl.certificate.location and ssl.key.location",
    ),
    **dict.fromkeys(
        ("ssl.curves.list", "ssl.sigalgs.list", "ssl.providers", "ssl.engine.location", "ssl.engine.id"),
        "the settings of the system's OpenSSL",
    ),
    "ssl.crl.location": "no list of revoked certificates, which the library would not read",
    **dict.fromkeys(
        (
            "sasl.kerberos.service.name",
            "sasl.kerberos.principal",
            "sasl.kerberos.kinit.cmd",
            "sasl.kerberos.keytab",
            "sasl.kerberos.min.time.before.relogin",
        ),
        "another mechanism than Kerberos",
    ),
    **dict.fromkeys(
        (
            "https.ca.pem",
            "sasl.oauthbearer.assertion.algorithm",
            "sasl.oauthbearer.assertion.claim.aud",
            "sasl.oauthbearer.assertion.claim.exp.seconds",
            "sasl.oauthbearer.assertion.claim.iss",
            "sasl.oauthbearer.assertion.claim.jti.include",
            "sasl.oauthbearer.assertion.claim.nbf.seconds",
            "sasl.oauthbearer.assertion.claim.sub",
            "sasl.oauthbearer.assertion.file",
            "sasl.oauthbearer.assertion.jwt.template.file",
            "sasl.oauthbearer.assertion.private.key.file",
            "sasl.oauthbearer.assertion.private.key.passphrase",
            "sasl.oauthbearer.assertion.private.key.pem",
            "sasl.oauthbearer.config",
        ),
        "a token from sasl.oauthbearer.token.file or sasl.oauthbearer.token.function",
    ),
    "plugin.library.paths": "no libraries of librdkafka",
}
"""Properties that would change what happens, and what is expected instead."""

_REASONS: Final = {name: reason for reason, names in IGNORED.items() for name in names}


def reason_of_no_effect(name: str, value: str) -> str | None:
    """Return why the property *name* has no effect here, or None if there is no such property.

    Raises:
        ValueError: if it would change what happens.
    """
    if name in HELD:
        held, reason = HELD[name]
        if value.casefold() != held:
            raise ValueError(f"property {name!r}: expected {held}, because {reason}; got {value!r}")
        return reason
    if name in _RETRIES and value.isascii() and value.isdigit() and int(value):
        return "what is not acknowledged is sent again until the time limit"
    if name in REFUSED:
        raise ValueError(f"property {name!r}: expected {REFUSED[name]}")
    return _REASONS.get(name)
