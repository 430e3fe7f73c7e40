"""Which shard a subscriber belongs to: the same in every process and release."""

from __future__ import annotations

from hashlib import blake2b


def shard_of(canonical: str, shards: int) -> int:
    """Return the shard of a subscriber, from 0 to below *shards*.

    Args:
        canonical: the canonical text of its socket.
        shards: how many there are; another number moves most subscribers.
    """
    digest = blake2b(canonical.encode("utf-8", "surrogateescape"), digest_size=8).digest()
    return int.from_bytes(digest) % shards
