"""The subscribers that `evframe top` shows: samples of what a gateway reports, and the table of them."""

import json
import sys

import pytest
from click.testing import CliRunner
from evframe_client import ManagementError
from evframe_client.commands.samples import COLUMNS, Row, Sample, Sampler, ordered
from evframe_client.commands.table import SubscriberTable, shortened
from evframe_wire.patterns import compile_pattern
from rich.console import Console

from evframe.cli import main
from evframe.testing import FakeClock

LONG = "flatstore:/var/log/evframe/calls-of-the-second-site.log"
ROWS = (
    Row("tcp:10.0.0.1:8082", "away", "refused", 125.0, 0.0, 12345, 7384.5, 1234567, "queue_full", "never"),
    Row(LONG, "connected", None, None, 1530.25, 0, None, 0, None, 3599),
    Row("udp:10.0.0.2:8081"),
)


class Gateway:
    """Answers with what a test sets."""

    def __init__(self, leases=(), counters=None):
        self.leases = list(leases)
        self.counters = counters

    def __call__(self, method):
        if method == "subscribers_list":
            return {"Events": [{"name": "E_A", "id": 0, "Subscribers": self.leases}]}
        if self.counters is None:
            raise ManagementError("Method not found", -32601)
        return {"Subscribers": self.counters}


def counted(socket="tcp:h:1", delivered=0, state="connected", **reasons):
    failed = sum(reasons.values())
    counters = {"raised": delivered + failed, "delivered": delivered, "failed": failed, "reasons": reasons}
    return {"socket": socket, **counters, "depth": 0, "state": state}


def rendered(width, *rows):
    console = Console(width=width, color_system=None)
    with console.capture() as captured:
        console.print(SubscriberTable(Sample(0.0, rows)))
    return [line.rstrip() for line in captured.get().splitlines()]


def test_80_columns():
    """All columns fit in 80; sockets are shortened in the middle, and then reasons."""
    assert rendered(80, *ROWS) == [
        "SOCKET               STATE     SINCE   RATE DEPTH OLDEST FAILED REASON     LEASE",
        "tcp:10.0.0.1:8082    away         2m    0.0 12.3k     2h   1.2M queue_full never",
        "flatstore:…-site.log connected       1530.2     0             0              59m",
        "udp:10.0.0.2:8081",
    ]


def test_160_columns():
    """Where there is room, sockets are whole, and the state has the reason."""
    assert rendered(160, *ROWS) == [
        "SOCKET                                                   STATE          SINCE    RATE  DEPTH  OLDEST  FAILED  REASON      LEASE",
        "tcp:10.0.0.1:8082                                        away: refused     2m     0.0  12.3k      2h    1.2M  queue_full  never",
        "flatstore:/var/log/evframe/calls-of-the-second-site.log  connected             1530.2      0               0                59m",
        "udp:10.0.0.2:8081",
    ]


@pytest.mark.parametrize("width", [80, 100, 160, 200])
def test_no_line_is_wider_than_the_terminal(width):
    """The longest values that occur are a line each."""
    longest = Row("x" * 300, "connected", None, 1e6, 99999.9, 99999, 1e6, 999999999, "r" * 60, 1e6)
    lines = rendered(width, longest, *ROWS)

    assert len(lines) == 5
    assert max(map(len, lines)) <= width
    assert all(name.upper() in lines[0] for name in COLUMNS)


def test_shortened():
    """The beginning and the end of a text stay."""
    assert [shortened("abcdefgh", most) for most in (8, 7, 6, 5)] == ["abcdefgh", "abc…fgh", "abc…gh", "ab…gh"]


def test_rates():
    """A rate is that of the time between two samples, and blank for the first one and after a new start."""
    clock = FakeClock()
    gateway = Gateway(counters=[counted(delivered=10)])
    sampler = Sampler(gateway, clock=clock)
    rates = []
    for delivered in (10, 30, 30, 4, 5):
        gateway.counters = [counted(delivered=delivered)]
        rates.append(sampler.sample().rows[0].rate)
        clock.advance(2)

    assert rates == [None, 10.0, 0.0, None, 0.5]


def test_since_and_reason():
    """A state has its age once it was seen to change; of several reasons, the one that was counted last is shown."""
    clock = FakeClock()
    gateway = Gateway()
    sampler = Sampler(gateway, clock=clock)
    found = []
    for state, reasons in [
        ("connected", {"a": 1, "b": 2}),
        ("away", {"a": 2, "b": 2}),
        ("away", {"a": 2, "b": 2}),
        ("connected", {"a": 2, "b": 3}),
    ]:
        gateway.counters = [counted(state=state, **reasons)]
        (row,) = sampler.sample().rows
        found.append((row.since, row.reason, row.failed))
        clock.advance(2)

    assert found == [(None, None, 3), (0, "a", 4), (2, "a", 4), (0, "b", 5)]
    gateway.counters = [counted("udp:h:2", a=1)]
    assert sampler.sample().rows[0].reason == "a"


def test_leases():
    """A subscriber is one row with the lease that ends first, and the oldest event that waits."""
    gateway = Gateway(
        [
            {"socket": "tcp:h:1", "expire": "never", "state": "away", "away": "refused", "depth": 3, "oldest": 1.5},
            {"socket": "tcp:h:1", "expire": 60, "ttl": 50, "state": "away", "depth": 3, "oldest": 1.75},
            {"socket": "udp:h:2", "expire": 60, "ttl": "expired", "state": "unknown"},
            {"socket": "udp:h:3", "expire": "never", "state": "unknown"},
        ]
    )

    assert Sampler(gateway).sample().rows == (
        Row("tcp:h:1", "away", "refused", depth=3, oldest=1.75, lease=50),
        Row("udp:h:2", "unknown", depth=0, lease=0),
        Row("udp:h:3", "unknown", depth=0, lease="never"),
    )


def test_an_opensips():
    """What is not reported is blank."""
    gateway = Gateway([{"socket": "udp:h:1", "expire": "never"}, {"socket": "udp:h:2", "expire": 60, "ttl": 50}])

    assert Sampler(gateway).sample().rows == (Row("udp:h:1", lease="never"), Row("udp:h:2", lease=50))


def test_filter():
    """Only sockets that match are sampled, as they are listed."""
    gateway = Gateway(counters=[counted("tcp:h:1"), counted("udp:h:1"), counted("TCP:h:1")])

    assert [row.socket for row in Sampler(gateway, pattern=compile_pattern("tcp:*")).sample().rows] == ["tcp:h:1"]


@pytest.mark.parametrize("column", COLUMNS)
def test_sorting(column):
    """Each column sorts in both directions; what has no value is last in both."""
    rows = [
        Row("c"),
        Row("a", "away", None, 1, 1.0, 1, 1, 1, "a", 10),
        Row("b", "unknown", None, 2, 2.0, 2, 2, 2, "b", "never"),
    ]
    names = ["".join(row.socket for row in ordered(rows, order)) for order in (column, f"-{column}")]

    assert names == (["abc", "cba"] if column == "socket" else ["abc", "bac"])


def test_answers_that_are_something_else():
    """Whatever a gateway answers, a sample is what can be read of it."""
    for answer in (None, 7, [], "x", {"Events": 7, "Subscribers": 7}, {"Events": [7], "Subscribers": [[]]}):
        assert Sampler(lambda _, answer=answer: answer).sample().rows == ()
    odd = {"socket": 7, "delivered": 10**400, "reasons": 7, "failed": "x", "depth": None, "state": 8}
    assert Sampler(Gateway(counters=[odd])).sample().rows == (Row("7", "8"),)


def test_json_form():
    """A sample is an object whose rows have every column, with numbers as they are."""
    form = json.loads(json.dumps(Sample(0.5, ROWS).as_json()))

    assert form["time"] == "1970-01-01T00:00:00.500+00:00"
    assert [list(row) for row in form["subscribers"]] == [["socket", "state", "away", *COLUMNS[2:]]] * 3
    assert form["subscribers"][1]["rate"] == 1530.25


def test_options_that_cannot_be_used():
    """Each is one clear error."""
    for words in (["--sort", "size"], ["--interval", "0"], ["--interval", "nan"], ["--interval", "inf"]):
        done = CliRunner().invoke(main, ["top", *words, "--once", "--url", "http://127.0.0.1:1/mi"])
        assert done.exit_code == 2, done.output
    done = CliRunner().invoke(main, ["top", "--once", "--url", "http://127.0.0.1:1/mi"])
    assert (done.exit_code, done.stderr.count("\n")) == (1, 1)
    assert "no answer from" in done.stderr


def test_without_rich(monkeypatch):
    """A table needs the extra, which is named before the gateway is asked; JSON does without."""
    monkeypatch.setitem(sys.modules, "rich.live", None)
    words = ["top", "--once", "--url", "http://127.0.0.1:1/mi"]
    table, form = (CliRunner().invoke(main, [*words, *more]) for more in ([], ["--json"]))

    assert (table.exit_code, table.stderr) == (1, 'Error: expected rich, pip install "evframe-client[commands]"\n')
    assert "no answer from" in form.stderr
