"""Flood detection: the reference's numbers, and a machine that compares it with the reference's tree."""

import random
import threading
import tracemalloc
from ipaddress import ip_address

import pytest
from evframe_pike import Detector, Options, Verdict
from evframe_pike.address import pack, unpack
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from evframe.testing import FakeClock


def detector(clock=None, **options):
    return Detector(Options(**options), clock or FakeClock())


def swept(detector):
    return [ip for freed in detector.sweep() for ip in freed]


def hits_until_blocked(detector, address):
    hits = 1
    while detector.check(address):
        hits += 1
    return hits


@pytest.mark.parametrize(
    ("address", "density", "hits"),
    [
        ("192.0.2.1", 30, 39),
        ("2001:db8::1", 30, 51),
        (bytes([192, 0, 2, 1]), 30, 39),
        (ip_address("2001:db8::1"), 30, 51),
        ("192.0.2.1", 8, 2 + 2 + 8),
        ("2001:db8::1", 8, 2 + 14 + 8),
        ("192.0.2.1", 100, 25 + 2 + 100),
    ],
)
def test_a_fresh_address(address, density, hits):
    """Within one window, X//4 + 2 + X requests block an IPv4 address, X//4 + 14 + X an IPv6 one."""
    assert hits_until_blocked(detector(reqs_density_per_unit=density), address) == hits


@pytest.mark.parametrize(("known", "address"), [("192.0.2.1", "192.0.2.9"), ("2001:db8::1", "2001:db8::9")])
def test_an_address_beside_a_known_one(known, address):
    """With all bytes but the last known, X + 1 requests do."""
    pike = detector()
    hits_until_blocked(pike, known)
    assert hits_until_blocked(pike, address) == 31


def test_verdicts():
    """The first request too many differs from those after it; both are false."""
    pike = detector()
    verdicts = [pike.check("192.0.2.1") for _ in range(41)]
    assert verdicts == [Verdict.ALLOWED] * 38 + [Verdict.NEWLY_BLOCKED] + [Verdict.STILL_BLOCKED] * 2
    assert [int(verdict) for verdict in (verdicts[0], *verdicts[38:40])] == [1, -2, -1]
    assert (bool(verdicts[0]), bool(verdicts[38]), bool(verdicts[39])) == (True, False, False)


def test_requests_spread_over_windows():
    """An address below the limit in every window is never blocked, however long that lasts."""
    clock = FakeClock()
    pike = detector(clock)
    for _ in range(100):
        assert all(pike.check("192.0.2.1") for _ in range(29))
        clock.advance(2)


@pytest.mark.parametrize("within_s", [0, 1.9])
def test_free_after_a_full_window(within_s):
    """An address is free when a full window with fewer than X requests has passed, and not before."""
    clock = FakeClock()
    pike = detector(clock)
    clock.advance(within_s)
    hits_until_blocked(pike, "192.0.2.1")
    clock.advance(3.99 - within_s)  # the end of the window of the last request was at 2
    assert pike.retry_after_s() == 3
    assert pike.check("192.0.2.1") is Verdict.STILL_BLOCKED
    assert swept(pike) == []
    clock.advance(0.01)
    assert swept(pike) == ["192.0.2.1"]
    assert pike.check("192.0.2.1") is Verdict.ALLOWED


def test_requests_of_a_blocked_address_count():
    """It stays blocked as long as each window brings X requests, and one fewer frees it."""
    clock = FakeClock()
    pike = detector(clock)
    hits_until_blocked(pike, "192.0.2.1")
    for _ in range(5):
        clock.advance(2)
        assert not any(pike.check("192.0.2.1") for _ in range(30))
    clock.advance(2)
    assert not any(pike.check("192.0.2.1") for _ in range(29))
    clock.advance(2)
    assert pike.check("192.0.2.1") is Verdict.ALLOWED


def test_told_again_after_it_was_free():
    """Each detection is reported once."""
    clock = FakeClock()
    pike = detector(clock)
    for detected in (1, 2):
        hits_until_blocked(pike, "192.0.2.1")
        assert pike.check("192.0.2.1") is Verdict.STILL_BLOCKED
        assert pike.detected == detected
        clock.advance(4)


def test_ageing():
    """An address leaves L after its last request, each byte before it L after that."""
    clock = FakeClock()
    pike = detector(clock)
    hits_until_blocked(pike, "192.0.2.1")
    for seconds, nodes in [(119, 4), (1, 3), (119, 3), (1, 2), (120, 1), (120, 0)]:
        clock.advance(seconds)
        swept(pike)
        assert len(pike) == nodes


def test_ageing_is_the_same_when_a_sweep_is_late():
    """What an address begins with stays L after the last address left, in whatever order one sweep takes them."""
    clock = FakeClock()
    pike = detector(clock, reqs_density_per_unit=1, sampling_time_unit_s=1, remove_latency_s=2)
    for _ in range(4):
        pike.check("2.1.1.2")  # its node exists, and leaves at 2
    clock.advance(1)
    swept(pike)
    hits_until_blocked(pike, "2.1.1.1")  # it leaves at 3, and is looked at first
    clock.advance(2)
    swept(pike)
    assert [(node.address, node.expires_s) for node in pike.nodes()] == [("2", None), ("2.1", None), ("2.1.1", 2)]


def test_an_address_that_others_begin_with():
    """An IPv4 address and the IPv6 addresses with the same first bytes share nodes, and leave on their own."""
    clock = FakeClock()
    pike = detector(clock)
    assert hits_until_blocked(pike, "2001:db8::1") == 51
    assert hits_until_blocked(pike, "32.1.13.184") == 30
    for _ in range(60):
        clock.advance(2)
        pike.check("2001:db8::1")
    swept(pike)
    assert {node.address for node in pike.nodes() if node.whole} == {"2001:db8::1"}
    assert pike.check("32.1.13.184")
    assert hits_until_blocked(pike, "32.1.13.184") == 29
    pike.remove("2001:db8::1")
    clock.advance(119)
    swept(pike)
    assert {node.address for node in pike.nodes() if node.whole} == {"32.1.13.184"}


def test_latency_is_longer_than_a_window():
    """A latency that is not longer than a window is a window and a second."""
    assert Options(sampling_time_unit_s=10, remove_latency_s=10).latency_s == 11
    assert Options(sampling_time_unit_s=10, remove_latency_s=12).latency_s == 12


def test_remove():
    """An address that is removed begins again, beside the bytes that are known."""
    pike = detector()
    hits_until_blocked(pike, "192.0.2.1")
    assert pike.remove("192.0.2.1")
    assert not pike.remove("192.0.2.1")
    assert not pike.remove("192.0.2.2")
    assert swept(pike) == ["192.0.2.1"]
    assert hits_until_blocked(pike, "192.0.2.1") == 31


@pytest.mark.parametrize(
    ("address", "text"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:DB8:0::1", "2001:db8::1"),
        ("fe80::1%eth0", "fe80::1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        (bytes(10) + b"\xff\xff\xc0\x00\x02\x01", "192.0.2.1"),
        (b"\xc0\x00\x02\x01", "192.0.2.1"),
        (ip_address("192.0.2.1"), "192.0.2.1"),
    ],
)
def test_forms_of_an_address(address, text):
    """Each form is the same address as its text, whichever comes first."""
    assert unpack(pack(address)) == text
    for first, second in ((address, text), (text, address)):
        pike = detector()
        hits = hits_until_blocked(pike, first)
        assert hits == (51 if ":" in text else 39)
        assert pike.check(second) is Verdict.STILL_BLOCKED
        assert pike.check(first) is Verdict.STILL_BLOCKED


NO_ADDRESSES = ["", "x", "192.0.2", "192.0.2.256", "192.0.2.1:80", "[::1]", "::1%" + "x" * 99, "1.2.3.4\0", "::\ud800"]
NO_ADDRESSES += [b"", b"abc", b"12345", None, 1, 1.5, [], bytearray(4), ("192.0.2.1", 80)]


@pytest.mark.parametrize("address", NO_ADDRESSES)
def test_not_an_address(address):
    """What is no address is an error that says what is accepted, and changes nothing."""
    pike = detector()
    for call in (pike.check, pike.remove):
        with pytest.raises(ValueError, match="^address: expected an IPv4 or IPv6 address as text or as 4 or 16 bytes"):
            call(address)
    assert len(pike) == 0


def test_an_attack_from_many_addresses_is_bounded():
    """However many addresses send, no more than the bound is remembered, and what was blocked stays so."""
    clock = FakeClock()
    pike = detector(clock, max_nodes=2000)
    hits_until_blocked(pike, "192.0.2.1")
    tracemalloc.start()
    for address in range(60_000):
        clock.advance(1 / 10_000)
        pike.check((address * 2_654_435_761 % 2**32).to_bytes(4))
        pike.check((address % 7919 + 2**24).to_bytes(4))
        if address % 200 == 0:
            assert not any(pike.check("192.0.2.1") for _ in range(2))
    used, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(pike) == 2000
    assert pike.evicted > 2000
    assert pike.untracked > 10_000
    assert used < 2000 * 500


def test_the_one_not_seen_for_longest_leaves():
    """At the bound, an address with a later request stays."""
    clock = FakeClock()
    pike = detector(clock, max_nodes=256)
    for _ in range(20):
        pike.check("10.0.0.1")
        pike.check("10.0.0.2")
    clock.advance(2)
    pike.check("10.0.0.1")
    for last in range(3, 3 + 256 - len(pike) + 1):
        pike.check(bytes([10, 0, 0, last]))
    left = {node.address for node in pike.nodes()}
    assert "10.0.0.1" in left
    assert "10.0.0.2" not in left
    assert (len(pike), pike.evicted, pike.untracked) == (256, 1, 0)


def test_nobody_of_this_window_leaves():
    """A crowd of new addresses does not push out those that are being counted."""
    clock = FakeClock()
    pike = detector(clock, max_nodes=256)
    for _ in range(10):
        pike.check("10.0.0.1")
    for last in range(2, 254):
        pike.check(bytes([10, 0, 0, last]))
    assert pike.check("10.0.0.254")
    assert pike.check("11.0.0.0")
    assert (len(pike), pike.evicted, pike.untracked) == (256, 0, 2)
    assert hits_until_blocked(pike, "10.0.0.1") == 29
    assert pike.remove("10.0.0.1")
    pike.check("11.0.0.0")
    assert (len(pike), pike.untracked) == (256, 2)


def test_no_room_beside_blocked_addresses():
    """When nothing may leave, a new address is let pass and counted, and finds room later."""
    clock = FakeClock()
    pike = detector(clock, max_nodes=256, reqs_density_per_unit=1)
    for last in range(253):
        hits_until_blocked(pike, bytes([10, 0, 0, last]))
    assert (len(pike), pike.blocked_count) == (256, 253)
    assert pike.check("10.0.0.254") is Verdict.ALLOWED
    assert pike.check("11.0.0.0") is Verdict.ALLOWED
    assert (pike.untracked, len(pike)) == (2, 256)
    clock.advance(4)
    assert len(swept(pike)) == 253
    pike.check("11.0.0.0")
    assert (pike.untracked, pike.evicted) == (2, 1)


def test_threads():
    """Checks from several threads miss nothing and report a detection once."""
    pike = detector(reqs_density_per_unit=10_000)
    told = []

    def work():
        for _ in range(4000):
            if pike.check("192.0.2.1") is Verdict.NEWLY_BLOCKED:
                told.append(1)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (before, now) = pike.nodes(blocked=True)[0].leaf_hits
    assert (before, now, told) == (0, 16_000 - 2502, [1])


def test_a_sweep_lets_checks_through():
    """Much that has to leave leaves in slices, between which others are served."""
    clock = FakeClock()
    pike = detector(clock)
    for _ in range(9):
        pike.check("10.0.0.0")
    for third in range(8):
        for last in range(256):
            for _ in range(12):
                pike.check(bytes([10, 0, third, last]))
    clock.advance(120)
    slices = 0
    for _ in pike.sweep():
        assert pike.check("192.0.2.1")
        slices += 1
    assert slices > 4


class Branch:
    """A node of the reference's tree."""

    def __init__(self, parent, byte, hits):
        self.parent, self.byte = parent, byte
        self.hits, self.leaf_hits = [0, hits], [0, 0]
        self.red = self.whole = False
        self.expires = None
        self.children = {}


class Tree:
    """The reference, literally: one tree, a timer every second, and every W a walk over all nodes."""

    def __init__(self, window_s, density, latency_s):
        self.window_s, self.density, self.latency_s = window_s, density, latency_s
        self.tick = self.begun = 0
        self.root = Branch(None, None, 0)
        self.root.expires = 0

    def hot(self, pair, limit):
        return pair[0] >= limit or pair[1] >= limit or sum(pair) // 2 >= limit

    def add(self, parent, byte, hits):
        node = parent.children[byte] = Branch(parent, byte, hits)
        node.expires = self.tick + self.latency_s

    def hit(self, packed):
        node = self.root
        depth = 0
        while depth < len(packed) and packed[depth] in node.children:
            node = node.children[packed[depth]]
            depth += 1
        if depth == len(packed):
            node.whole = True
            node.expires = self.tick + self.latency_s
            node.leaf_hits[1] += 1
            if node.red:
                return -1
            node.red = node.leaf_hits[1] >= self.density  # the window before has not blocked it
            return -2 if node.red else 1
        if not depth:
            self.add(node, packed[0], 1)
            return 1
        node.hits[1] += 1
        if self.hot(node.hits, self.density // 4):
            self.add(node, packed[depth], node.hits[1] - 1)
        return 1

    def walk(self, node=None, packed=b""):
        for byte, child in list((node or self.root).children.items()):
            yield from self.walk(child, packed + bytes([byte]))
            yield packed + bytes([byte]), child

    def second(self):
        self.tick += 1
        if (self.tick - self.begun) % self.window_s == 0:
            self.next_window()
        self.age()

    def next_window(self):
        for _, node in self.walk():
            node.hits = [node.hits[1], 0]
            node.leaf_hits = [node.leaf_hits[1], 0]
            node.red = node.red and self.hot(node.leaf_hits, self.density)

    def age(self):
        """Let leave what has to; deepest first, so that what they keep follows."""
        for _, node in list(self.walk()):
            if node.expires <= self.tick and (node.whole or not node.children):
                self.leave(node, node.expires)

    def reconfigure(self, window_s, density, latency_s):
        for _, node in self.walk():
            node.expires += latency_s - self.latency_s
        self.density, self.latency_s = density, latency_s
        self.age()
        if window_s != self.window_s:
            self.window_s, self.begun = window_s, self.tick
            for _, node in self.walk():
                if node.red:
                    node.leaf_hits[1] = max(node.leaf_hits[1], density)
            self.next_window()

    def leave(self, node, at):
        node.whole = node.red = False
        node.leaf_hits = [0, 0]
        if not node.children:
            del node.parent.children[node.byte]
            if not node.parent.whole:  # what it has lost last counts, once it has nothing left
                node.parent.expires = max(node.parent.expires, at + self.latency_s)

    def find(self, packed):
        node = self.root
        for byte in packed:
            node = node.children.get(byte)
            if node is None:
                return None
        return node


# Few bytes, so that addresses of both families share what they begin with.
BYTES = st.sampled_from([1, 2])
ADDRESSES = st.one_of(
    st.tuples(BYTES, BYTES, BYTES, BYTES).map(bytes),
    st.tuples(BYTES, BYTES).map(lambda two: bytes([1, *two, 3]) + b"\1" * 12),
)


class AgainstTheTree(RuleBasedStateMachine):
    @initialize(
        window_s=st.integers(1, 4), density=st.integers(1, 12), latency_s=st.integers(1, 12), start=st.floats(0, 1e6)
    )
    def begin(self, window_s, density, latency_s, start):
        self.clock = FakeClock(start)
        options = Options(
            sampling_time_unit_s=window_s, reqs_density_per_unit=density, remove_latency_s=latency_s, max_nodes=1000
        )
        self.pike = Detector(options, self.clock)
        self.tree = Tree(window_s, density, options.latency_s)
        self.start = self.clock.now

    @rule(address=ADDRESSES, count=st.integers(1, 20))
    def hit(self, address, count):
        for _ in range(count):
            assert self.pike.check(address) == self.tree.hit(address)

    @rule(quarters=st.integers(1, 40))
    def advance(self, quarters):
        for _ in range(quarters):
            self.clock.advance(0.25)
            while self.tree.tick < int(self.clock.now - self.start):
                self.tree.second()

    @rule(quarters=st.integers(1, 8), address=ADDRESSES)
    def advance_and_hit(self, quarters, address):
        """Judge a known address without a sweep in between."""
        self.advance(quarters)
        node = self.tree.find(address)
        if node is not None and node.whole:
            assert self.pike.check(address) == self.tree.hit(address)
        self.sweep()

    @rule(address=ADDRESSES)
    def remove(self, address):
        node = self.tree.find(address)
        assert self.pike.remove(address) is (node is not None and node.whole)
        if node is not None and node.whole:
            self.tree.leave(node, self.tree.tick)

    @rule(window_s=st.integers(1, 4), density=st.integers(1, 12), latency_s=st.integers(1, 12))
    def reconfigure(self, window_s, density, latency_s):
        options = Options(
            sampling_time_unit_s=window_s, reqs_density_per_unit=density, remove_latency_s=latency_s, max_nodes=1000
        )
        self.pike.reconfigure(options)
        self.tree.reconfigure(window_s, density, options.latency_s)

    @rule()
    def sweep(self):
        swept(self.pike)

    @invariant()
    def same(self):
        if not hasattr(self, "tree"):
            return
        swept(self.pike)
        ours = {
            node.address: (node.whole, node.blocked, node.hits, node.leaf_hits, node.expires_s)
            for node in self.pike.nodes()
        }
        theirs = {
            unpack(packed): (
                node.whole,
                node.red,
                tuple(node.hits),
                tuple(node.leaf_hits),
                node.expires - self.tree.tick if node.whole or not node.children else None,
            )
            for packed, node in self.tree.walk()
        }
        assert ours == theirs
        assert self.pike.blocked_count == sum(node[1] for node in ours.values())


TestAgainstTheTree = AgainstTheTree.TestCase
TestAgainstTheTree.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)


def test_other_options_keep_what_is_known():
    """A blocked address is reported once however often the windows change, and free after a quiet one of the new length."""
    clock = FakeClock()
    pike = detector(clock, sampling_time_unit_s=10)
    assert hits_until_blocked(pike, "192.0.2.1") == 39
    clock.advance(10.5)
    for window_s in (2, 3, 4):
        pike.reconfigure(Options(sampling_time_unit_s=window_s))
        assert pike.check("192.0.2.1") is Verdict.STILL_BLOCKED
    assert pike.retry_after_s() == 8
    clock.advance(8)
    assert swept(pike) == ["192.0.2.1"]
    assert pike.detected == 1
    pike.reconfigure(Options(sampling_time_unit_s=4, reqs_density_per_unit=5))
    assert [pike.check("192.0.2.1") for _ in range(5)][-1] is Verdict.NEWLY_BLOCKED


def test_less_room():
    """With room for fewer nodes the ones not seen for longest leave as others come."""
    clock = FakeClock()
    pike = detector(clock, reqs_density_per_unit=1)
    for number in range(2000):
        pike.check(f"10.{number // 256}.{number % 256}.1")
    assert len(pike) == 2000
    clock.advance(3)
    pike.reconfigure(Options(reqs_density_per_unit=1, max_nodes=256))
    pike.check("192.0.2.1")
    assert len(pike) <= 256
    assert pike.evicted == 2001 - 256
    assert pike.untracked == 0


class AtTheBound(RuleBasedStateMachine):
    """Crowds of addresses, more than there is room for; the tree stays a tree."""

    def __init__(self):
        super().__init__()
        self.clock = FakeClock()
        self.pike = detector(self.clock, max_nodes=256, reqs_density_per_unit=8, remove_latency_s=6)

    @rule(seed=st.integers(0, 2**32), count=st.integers(1, 600), spread=st.sampled_from([2, 8, 256]))
    def crowd(self, seed, count, spread):
        numbers = random.Random(seed)
        for _ in range(count):
            length = numbers.choice([4, 4, 16])
            self.pike.check(bytes(numbers.randrange(spread) for _ in range(length)))

    @rule(first=st.integers(0, 255), count=st.integers(1, 60))
    def flood(self, first, count):
        for _ in range(count):
            self.pike.check(bytes([first, 1, 1, 1]))

    @rule(seconds=st.floats(0, 9))
    def advance(self, seconds):
        self.clock.advance(seconds)

    @rule()
    def sweep(self):
        swept(self.pike)

    @rule(window_s=st.integers(1, 4), density=st.integers(4, 12), latency_s=st.integers(1, 12))
    def reconfigure(self, window_s, density, latency_s):
        self.pike.reconfigure(
            Options(
                sampling_time_unit_s=window_s, reqs_density_per_unit=density, remove_latency_s=latency_s, max_nodes=256
            )
        )

    @rule(data=st.data())
    def remove(self, data):
        known = [node.address for node in self.pike.nodes() if node.whole]
        if known:
            address = data.draw(st.sampled_from(known))
            self.pike.remove(address)
            assert address not in {node.address for node in self.pike.nodes() if node.whole}

    @invariant()
    def whole(self):
        nodes = self.pike._tree.nodes
        assert len(nodes) <= 256
        children = dict.fromkeys(nodes.values(), 0)
        for packed, node in nodes.items():
            assert node.packed == packed
            assert node.parent is nodes.get(packed[:-1])
            if node.parent is not None:
                children[node.parent] += 1
        assert {node: node.children for node in nodes.values()} == children
        assert set(self.pike._blocked) == {node for node in nodes.values() if node.blocked}
        assert set(self.pike._known.values()) == {node for node in nodes.values() if node.key is not None}
        waiting = {node for node in nodes.values() if not node.blocked and (node.key is not None or not node.children)}
        assert {node for node in nodes.values() if node.newer is not None} == waiting
        assert self.pike._tree.calendar._count == len(waiting)


TestAtTheBound = AtTheBound.TestCase
TestAtTheBound.settings = settings(max_examples=60, stateful_step_count=20, deadline=None)


TRUSTED = ["10.0.0.0/8", "192.0.2.7", "2001:db8::/32", "::ffff:198.51.100.0/120"]


@pytest.mark.parametrize(
    "address",
    [
        "10.1.2.3",
        "::ffff:10.1.2.3",
        b"\x0a\xff\xff\xff",
        "192.0.2.7",
        "2001:db8:1::1%eth0",
        "198.51.100.9",
        ip_address("10.0.0.0"),
    ],
)
def test_trusted_addresses_are_never_counted(address):
    """An address of a trusted network is allowed however often it comes, and is not remembered."""
    detector = Detector(Options(reqs_density_per_unit=8, trusted=TRUSTED), FakeClock())
    assert {detector.check(address) for _ in range(1000)} == {Verdict.ALLOWED}
    assert len(detector) == 0


@pytest.mark.parametrize("address", ["11.0.0.0", "9.255.255.255", "192.0.2.6", "2001:db9::1", "198.51.101.0"])
def test_addresses_beside_trusted_networks_are_counted(address):
    """An address outside of them is judged as ever."""
    detector = Detector(Options(reqs_density_per_unit=8, trusted=TRUSTED), FakeClock())
    assert Verdict.NEWLY_BLOCKED in {detector.check(address) for _ in range(100)}


def test_network_that_becomes_trusted():
    """With a reload that trusts its network, a blocked address is free and forgotten; others stay blocked."""
    detector = Detector(Options(reqs_density_per_unit=8), FakeClock())
    for _ in range(100):
        detector.check("10.0.0.1")
        detector.check("192.0.2.1")
    assert detector.blocked_count == 2
    detector.reconfigure(Options(reqs_density_per_unit=8, trusted=["10.0.0.0/8"]))
    assert (detector.check("10.0.0.1"), detector.check("192.0.2.1")) == (Verdict.ALLOWED, Verdict.STILL_BLOCKED)
    assert [node.address for node in detector.nodes(blocked=True)] == ["192.0.2.1"]
    detector.reconfigure(Options(reqs_density_per_unit=8))
    assert Verdict.NEWLY_BLOCKED in {detector.check("10.0.0.1") for _ in range(100)}


@pytest.mark.parametrize("text", ["10.0.0.1/8", "10.0.0.0/33", "x", ""])
def test_trusted_networks_that_are_none(text):
    """What is no network is refused with the form that is expected."""
    with pytest.raises(ValueError, match=r"trusted: expected networks such as '10.0.0.0/8', got "):
        Options(trusted=["10.0.0.0/8", text])
