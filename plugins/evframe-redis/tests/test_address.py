"""The sockets of the transport, row by row."""

import attrs
import pytest
from evframe_redis import RedisSocket, parse
from evframe_redis.entries import Parts
from evframe_redis.replies import Refusal
from evframe_redis_clients.addresses import Address
from hypothesis import given
from hypothesis import strategies as st
from redis.exceptions import ResponseError


@pytest.mark.parametrize(
    ("text", "parts", "canonical"),
    [
        ("//h?stream=s", (None, None, "h", 6379, 0, "s", None), "h:6379/0?stream=s"),
        ("//h/?stream=s", (None, None, "h", 6379, 0, "s", None), "h:6379/0?stream=s"),
        ("//H:7000/12?stream=s", (None, None, "h", 7000, 12, "s", None), "h:7000/12?stream=s"),
        ("//u:p2@h?stream=s", ("u", "p2", "h", 6379, 0, "s", None), "u@h:6379/0?stream=s"),
        ("//u@h?stream=s", ("u", None, "h", 6379, 0, "s", None), "u@h:6379/0?stream=s"),
        ("//u:@h?stream=s", ("u", "", "h", 6379, 0, "s", None), "u@h:6379/0?stream=s"),
        ("//:p2@h?stream=s", (None, "p2", "h", 6379, 0, "s", None), "h:6379/0?stream=s"),
        ("//u%40x:p%2Fw@h?stream=s", ("u@x", "p/w", "h", 6379, 0, "s", None), "u%40x@h:6379/0?stream=s"),
        ("//u:p@w@h?stream=s", ("u", "p@w", "h", 6379, 0, "s", None), "u@h:6379/0?stream=s"),
        ("//[::1]?stream=s", (None, None, "[::1]", 6379, 0, "s", None), "[::1]:6379/0?stream=s"),
        ("//[::1]:7?stream=s&maxlen=9", (None, None, "[::1]", 7, 0, "s", 9), "[::1]:7/0?stream=s&maxlen=9"),
        ("//h?maxlen=9&stream=s", (None, None, "h", 6379, 0, "s", 9), "h:6379/0?stream=s&maxlen=9"),
        ("//h?stream=a%3Ab", (None, None, "h", 6379, 0, "a:b", None), "h:6379/0?stream=a:b"),
        ("//h?stream=a%26b=c", (None, None, "h", 6379, 0, "a&b=c", None), "h:6379/0?stream=a%26b%3Dc"),
        ("//h?stream=a?b", (None, None, "h", 6379, 0, "a?b", None), "h:6379/0?stream=a%3Fb"),
        ("//h?stream=é", (None, None, "h", 6379, 0, "é", None), "h:6379/0?stream=é"),
        ("//h?stream=s.{caller}", (None, None, "h", 6379, 0, "s.{caller}", None), "h:6379/0?stream=s.{caller}"),
        ("//h?stream=%7Bs}", (None, None, "h", 6379, 0, "{{s}", None), "h:6379/0?stream={{s}"),
    ],
)
def test_accepted(text, parts, canonical):
    """Each accepted row; the canonical text can be parsed again, and has no password."""
    found = parse("redis", text)
    assert (
        found.address.user,
        found.address.password,
        found.address.host,
        found.address.port,
        found.address.database,
        found.stream,
        found.maxlen,
    ) == parts
    assert found.canonical == f"redis://{canonical}"
    assert parse("redis", f"//{canonical}").canonical == found.canonical
    assert "p2" not in repr(found)
    assert found.endpoints == ((parts[2].strip("[]"), parts[3]),)


@pytest.mark.parametrize(
    "text",
    [
        "h?stream=s",
        "//h",
        "//h/s",
        "//h/0/s?stream=s",
        "//h/-1?stream=s",
        "//h?stream=",
        "//h?maxlen=1",
        "//h?stream=s&maxlen=0",
        "//h?stream=s&maxlen=x",
        "//h?stream=s&maxlen=1&maxlen=2",
        "//h?stream=s&other=1",
        "//h?stream",
        "//h?stream=s{",
        "//h?stream=%01",
        "//h?stream=%zz",
        "//h?stream=%ff",
        "//h?stream=" + "s" * 1025,
        "//?stream=s",
        "//h:0?stream=s",
        "//h:65536?stream=s",
        "//[::1?stream=s",
        "//u:p/w@h?stream=s",
        "//u:s3cret?@h?stream=s",
        "//u:s3cret:?@h?stream=s",
        "//a,b?stream=s",
        "",
    ],
)
def test_rejected(text):
    """Each rejected row is an error, without a password."""
    with pytest.raises(ValueError, match="expected") as caught:
        parse("redis", text)
    assert "s3cret" not in str(caught.value)


TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=8)


@given(TEXT, TEXT.filter(bool), st.integers(0, 15), st.integers(1, 65535), st.none() | st.integers(1, 10**9))
def test_canonical_text_is_a_socket(user, stream, database, port, maxlen):
    """Whatever a socket has, its canonical text is the same socket."""
    stream = stream.replace("{", "{{")  # one alone begins a parameter
    made = RedisSocket(Address("rediss", "h", port, user or None, "secret", database), stream, maxlen)
    again = parse(*made.canonical.split(":", 1))

    assert again.canonical == made.canonical
    assert (again.stream, again.maxlen) == (stream, maxlen)
    assert again.address == attrs.evolve(made.address, password=None)


@pytest.mark.parametrize(
    ("text", "reason", "is_later"),
    [
        ("OOM command not allowed when used memory > 'maxmemory'.", "oom", True),
        ("READONLY You can't write against a read only replica.", "readonly", True),
        ("LOADING Redis is loading the dataset in memory", "loading", True),
        ("MISCONF Redis is configured to save RDB snapshots", "misconf", True),
        ("NOREPLICAS Not enough good replicas to write.", "noreplicas", True),
        ("CLUSTERDOWN Hash slot not served", "clusterdown", True),
        ("NOAUTH Authentication required.", "access_refused", True),
        ("ASK 3999 127.0.0.1:6381", "moved", True),
        ("MOVED 3999 127.0.0.1:6381", "moved", False),
        ("NOPERM this user has no permissions", "access_refused", False),
        ("WRONGTYPE Operation against a key holding the wrong kind of value", "wrongtype", False),
        ("ERR unknown command 'XADD'", "error_reply", False),
        ("\x1b[2J what a hostile server says", "error_reply", False),
        ("ERR Protocol error: invalid bulk length", "too_large", False),
    ],
)
def test_refusals(text, reason, is_later):
    """Each error reply has a reason; a server that is not well may take the same command later."""
    code, _, rest = text.partition(" ")
    for error in (ResponseError(text), ResponseError(rest, status_code=code)):
        refusal = Refusal.of(error)
        assert (refusal.reason, refusal.is_later) == (reason, is_later)


def test_parts_of_a_batch():
    """A part has some 1 MiB, or one event that is larger; a part that is sent alone has one event."""
    all_ = [(index, b"x" * size) for index, size in enumerate([10, 10, 2 << 20, 10, 600_000, 600_000])]

    def taken(*alone):
        parts = Parts(all_)
        taken = [[index for index, _ in parts.take(alone=each)] for each in alone]
        assert not parts
        return taken

    assert taken(False, False, False, False) == [[0, 1], [2], [3, 4], [5]]
    assert taken(True, False, False, True, True, True) == [[0], [1], [2], [3], [4], [5]]
    assert not Parts([])
