"""The subscribers that `evframe top` shows: samples of what a gateway reports, the table of them, and the keys."""

import json
import signal
import sys

import attrs
import pytest
from click.testing import CliRunner
from evframe_client import ManagementError
from evframe_client.commands import screen
from evframe_client.commands.controls import Controls, Pressed
from evframe_client.commands.rows import COLUMNS, Query, Row, Sample, Total, ordered
from evframe_client.commands.samples import Sampler
from evframe_client.commands.table import SubscriberTable, shortened, total_line
from rich.console import Console

from evframe.cli import main
from evframe.testing import FakeClock

LONG = "flatstore:/var/log/evframe/calls-of-the-second-site.log"
ROWS = (
    Row(
        *("tcp:10.0.0.1:8082", "away", "refused", 125.0, 0.0, 12345, 7384.5),
        *(1234567, 12.5, "queue_full", 0.5, "never"),
    ),
    Row(LONG, "connected", None, 8.0, 1530.25, 0, None, 3, 0.0, "timeout", 7200.0, 3599),
    Row("udp:10.0.0.2:8081"),
)
TOTAL = Total(3, 3, 1, 1, 1, 1530.25, 12345, 1234570, 12.5)


class Gateway:
    """Answers with what a test sets."""

    def __init__(self, leases=(), counters=None, total=None, most=None):
        self.leases = list(leases)
        self.counters = counters
        self.total = total
        self.most = most
        self.asked = []

    def __call__(self, method, params):
        if method == "subscribers_list":
            return {"Events": [{"name": "E_A", "id": 0, "Subscribers": self.leases}]}
        if self.counters is None:
            raise ManagementError("Method not found", -32601)
        self.asked.append(params)
        limit = params.get("limit", len(self.counters))
        if self.most is not None and limit > self.most:
            raise ManagementError("Server error", -32000, "Reply of 70000 bytes, the most is 65507")
        return {"Subscribers": self.counters[:limit], "Total": self.total}


def counted(socket="tcp:h:1", delivered=0, failed=0, **more):
    return {"socket": socket, "delivered": delivered, "failed": failed, "depth": 0, "state": "connected", **more}


def rendered(width, *rows):
    console = Console(width=width, color_system=None)
    with console.capture() as captured:
        console.print(SubscriberTable(Sample(0.0, rows, TOTAL)))
    return [line.rstrip() for line in captured.get().splitlines()]


def test_80_columns():
    """All columns but LOSS fit in 80; sockets are shortened in the middle, and one reason is shown."""
    assert rendered(80, *ROWS) == [
        "SOCKET                    STATE     SINCE RATE DEPTH OLDEST FAILED REASON  LEASE",
        "tcp:10.0.0.1:8082         away         2m    0 12.3k     2h   1.2M refused never",
        "flatstore:/v…ond-site.log connected    8s 1530     0             3 timeout   59m",
        "udp:10.0.0.2:8081",
    ]


def test_160_columns():
    """Where there is room, sockets are whole, the state has its reason, and the last failure its age."""
    assert rendered(160, *ROWS) == [
        "SOCKET                                                   STATE          SINCE  RATE  DEPTH  OLDEST  FAILED  LOSS  REASON          LEASE",
        "tcp:10.0.0.1:8082                                        away: refused     2m     0  12.3k      2h    1.2M  12.5  queue_full now  never",
        "flatstore:/var/log/evframe/calls-of-the-second-site.log  connected         8s  1530      0               3     0  timeout 2h ago    59m",
        "udp:10.0.0.2:8081",
    ]


@pytest.mark.parametrize("width", [80, 100, 160, 200])
def test_no_line_is_wider_than_the_terminal(width):
    """The longest values that occur are a line each, also of characters that take two columns."""
    longest = Row("x" * 300, "connected", None, 1e6, 1e6, 99999, 99999.9, 10**9, 1e6, "r" * 60, 1e6, 1e6)
    wide = attrs.evolve(longest, socket="flatstore:/" + "文" * 100)
    lines = rendered(width, longest, wide, *ROWS)

    assert len(lines) == 6
    assert max(map(len, lines)) <= width
    names = [name for name in COLUMNS if name != "loss" or width > 100]
    assert [name.upper() for name in names] == lines[0].split()


def test_shortened():
    """The beginning and the end of a text stay."""
    assert [shortened("abcdefgh", most) for most in (8, 7, 6, 5)] == ["abcdefgh", "abc…fgh", "abc…gh", "ab…gh"]


def test_the_line_of_sums():
    """It has what is reported, and where it does not fit, what is wrong stays."""
    whole = "3 subscribers  1 connected  1 away  1 unknown  1530/s  12.3k waiting  1.2M failed (12.5/s)"
    assert [total_line(TOTAL, width).plain for width in (99, 80, 70, 55, 20)] == [
        whole,
        whole.replace("  1 unknown", ""),
        whole.replace("  1 unknown", "").replace("  1 connected", ""),
        "3 subscribers  1 away  12.3k waiting  1.2M failed (12.…",
        "3 subscribers  1 aw…",
    ]
    assert total_line(Total(9, 1), 80).plain == "1 of 9 subscribers"
    assert total_line(Total(1, 1, 1, 0, 0, 0.0, 0, 0, 0.0), 80).plain == "1 subscriber  1 connected  0/s"


def test_rates():
    """A rate is that of the time between two samples, and blank for the first one and after a new start."""
    clock = FakeClock()
    gateway = Gateway(counters=[])
    sampler = Sampler(gateway, clock=clock)
    rates = []
    for delivered in (10, 30, 30, 4, 5):
        gateway.counters = [counted(delivered=delivered, failed=2 * delivered)]
        gateway.total = {"delivered": 3 * delivered, "failed": delivered}
        sample = sampler.sample()
        (row,) = sample.rows
        rates.append((row.rate, row.loss, sample.total.rate, sample.total.loss))
        clock.advance(2)

    assert rates == [(None,) * 4, (10.0, 20.0, 30.0, 10.0), (0.0,) * 4, (None,) * 4, (0.5, 1.0, 1.5, 0.5)]


def test_what_the_gateway_reports():
    """A row has the state with its age, the last failure, the oldest event and the lease."""
    counters = [
        counted(state="away", away="refused", since=5.5, oldest=1.5, last_reason="timeout", last_failed=3.5, lease=50),
        counted("udp:h:2", lease="never"),
    ]
    total = {"subscribers": 7, "matched": 2, "connected": 1, "away": 1, "unknown": 0, "depth": 4, "failed": 1}
    sample = Sampler(Gateway(counters=counters, total=total)).sample()

    assert sample.rows == (
        Row("tcp:h:1", "away", "refused", 5.5, None, 0, 1.5, 0, None, "timeout", 3.5, 50),
        Row("udp:h:2", "connected", depth=0, failed=0, lease="never"),
    )
    assert sample.total == Total(7, 2, 1, 1, 0, depth=4, failed=1)


def test_what_the_gateway_is_asked_for():
    """It sorts and filters, but by numbers between two samples; what is too long for a datagram is asked for in part."""
    gateway = Gateway(counters=[counted(f"tcp:h:{number:03}", delivered=number) for number in range(200)], most=100)
    sampler = Sampler(gateway, Query("-depth", "tcp:*", "away", 20))
    assert len(sampler.sample().rows) == 20
    sampler.query = Query("-rate", limit=20)
    assert len(sampler.sample().rows) == 20
    sampler.query = Query("reason")
    assert len(sampler.sample().rows) == 100

    assert gateway.asked == [
        {"sort": "-depth", "filter": "tcp:*", "state": "away", "limit": 20},
        {"sort": "-delivered"},
        {"sort": "-delivered", "limit": 100},
        {"sort": "last_reason"},
        {"sort": "last_reason", "limit": 100},
    ]


def test_a_gateway_without_pages():
    """A subscriber is one row with the lease that ends first, and the oldest event that waits."""
    gateway = Gateway(
        [
            {"socket": "tcp:h:1", "expire": "never", "state": "away", "away": "refused", "depth": 3, "oldest": 1.5},
            {"socket": "tcp:h:1", "expire": 60, "ttl": 50, "state": "away", "depth": 3, "oldest": 1.75},
            {"socket": "udp:h:2", "expire": 60, "ttl": "expired", "state": "unknown"},
            {"socket": "udp:h:3", "expire": "never", "state": "unknown"},
        ]
    )
    sample = Sampler(gateway).sample()

    assert sample.rows == (
        Row("tcp:h:1", "away", "refused", depth=3, oldest=1.75, lease=50),
        Row("udp:h:2", "unknown", depth=0, lease=0),
        Row("udp:h:3", "unknown", depth=0, lease="never"),
    )
    assert sample.total == Total(3, 3, 0, 1, 2)
    chosen = Sampler(gateway, Query("-socket", "udp:*", "unknown", 1)).sample()
    assert ([row.socket for row in chosen.rows], chosen.total) == (["udp:h:3"], Total(3, 2, 0, 0, 2))


def test_an_opensips():
    """What is not reported is blank."""
    gateway = Gateway([{"socket": "udp:h:1", "expire": "never"}, {"socket": "udp:h:2", "expire": 60, "ttl": 50}])

    assert Sampler(gateway).sample().rows == (Row("udp:h:1", lease="never"), Row("udp:h:2", lease=50))


def test_errors_of_the_gateway():
    """An error that says nothing about the command is the caller's."""
    for error in (ManagementError("no answer"), ManagementError("Server error", -32000), ManagementError("x", 400)):

        def call(_, __, error=error):
            raise error

        with pytest.raises(ManagementError) as raised:
            Sampler(call).sample()
        assert raised.value is error


@pytest.mark.parametrize("column", COLUMNS)
def test_sorting(column):
    """Each column sorts in both directions; what has no value is last in both."""
    rows = [
        Row("c"),
        Row("a", "away", None, 1, 1.0, 1, 1, 1, 1.0, "a", 1, 10),
        Row("b", "unknown", None, 2, 2.0, 2, 2, 2, 2.0, "b", 2, "never"),
    ]
    names = ["".join(row.socket for row in ordered(rows, order)) for order in (column, f"-{column}")]

    assert names == (["abc", "cba"] if column == "socket" else ["abc", "bac"])


def test_answers_that_are_something_else():
    """Whatever a gateway answers, a sample is what can be read of it."""
    for answer in (None, 7, [], "x", {"Events": 7, "Subscribers": 7}, {"Events": [7], "Subscribers": [[]]}):
        assert Sampler(lambda *_, answer=answer: answer).sample().rows == ()
    odd = {"socket": 7, "delivered": 10**400, "failed": "x", "depth": None, "state": 8, "since": [], "lease": "long"}
    sample = Sampler(Gateway(counters=[odd], total={"matched": "x", "away": {}})).sample()
    assert (sample.rows, sample.total) == ((Row("7", "8"),), Total(0, 0))


def test_json_form():
    """A sample is an object whose rows have every column, with numbers as they are."""
    form = json.loads(json.dumps(Sample(0.5, ROWS, TOTAL).as_json()))

    assert form["time"] == "1970-01-01T00:00:00.500+00:00"
    columns = ["socket", "state", "away", *COLUMNS[2:-1], "reason_age", "lease"]
    assert [list(row) for row in form["subscribers"]] == [columns] * 3
    assert form["total"]["matched"] == 3
    assert form["subscribers"][1]["rate"] == 1530.25


@pytest.mark.parametrize(
    ("keys", "query"),
    [
        ("\x1b[C", Query("state")),
        ("\x1b[D", Query("lease")),
        ("ss", Query("-since")),
        ("s<", Query()),
        ("r", Query("-socket")),
        ("rr", Query()),
        ("a", Query(state="away")),
        ("aa", Query()),
        ("/tcp\r", Query(pattern="*tcp*")),
        ("/tcq\x7fp:*\r", Query(pattern="tcp:*")),
        ("/q?\n/\x15\n", Query()),
        ("/tcp\x1b", Query()),
        ("x\x1b[A\x1b[5~\t", Query()),
    ],
)
def test_keys(keys, query):
    """Keys sort, reverse and filter; others do nothing."""
    controls = Controls(Query())
    assert controls.press(keys) is not Pressed.QUIT
    assert (controls.query, controls.typed) == (query, None)


def test_what_keys_ask_for():
    """A key that changes the query, and the space bar, ask for a sample; q ends, but not within a filter."""
    controls = Controls(Query("-depth", "udp:*"))
    assert controls.line().plain == "q quit  ←→ sort depth↓  r reverse  / filter udp:*  a away only  space now  "
    for keys, pressed in (
        *((" ", Pressed.SAMPLE), ("a", Pressed.SAMPLE), ("x", Pressed.LINE), ("/", Pressed.LINE)),
        *(("q\x1b[A", Pressed.LINE), ("\r", Pressed.SAMPLE), ("xq", Pressed.QUIT)),
    ):
        assert controls.press(keys) is pressed
        if keys == "q\x1b[A":
            assert controls.line().plain == "filter: udp:*q█  Enter applies, Esc cancels"
    assert controls.query == Query("-depth", "udp:*q", "away")


def test_options_that_cannot_be_used():
    """Each is one clear error."""
    for words in (
        ["--sort", "size"],
        ["--state", "dead"],
        ["--limit", "0"],
        ["--interval", "0"],
        ["--interval", "nan"],
        ["--interval", "inf"],
    ):
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


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_raises_nothing_while_the_table_is_drawn(number):
    """It wakes the screen, which ends: an exception could come in a finaliser, and would be ignored there."""
    inherited = signal.signal(number, signal.default_int_handler)  # one that nohup ignores stays ignored
    try:
        with screen._woken() as (_, woken):
            signal.raise_signal(number)
            assert woken.recv(4096) == bytes([number])
        assert signal.getsignal(number) is signal.default_int_handler
    finally:
        signal.signal(number, inherited)
