"""The memory: cgroups of both versions, the process, and when a level raises an event."""

import os

import psutil
import pytest
from evframe_core_events import CoreEvents, Options
from evframe_core_events.cgroup import memory_groups
from evframe_core_events.memory import Level, Memory, Usage
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from evframe.testing import Recorder

GIB = 1 << 30


def groups(machine):
    return [
        (os.path.relpath(group.directory, machine.root), group.limit(), group.used())
        for group in memory_groups(str(machine.root))
    ]


def test_version_2(machine):
    """The group of the process and those above it, each with its limit, and without the caches given back first."""
    machine.version_2("/app/worker").limit(200, 150, 30, "app/worker").limit("max", 900, 1, "app")
    machine.write("sys/fs/cgroup/memory.current", "5000")  # the root has no limit
    assert groups(machine) == [
        ("sys/fs/cgroup/app/worker", 200, 120),
        ("sys/fs/cgroup/app", None, 899),
        ("sys/fs/cgroup", None, 5000),
    ]


def test_version_1(machine):
    """The files of version 1, beside a mount of version 2 that has no memory in it."""
    machine.version_1("/app")
    for path, limit, used in (("app", 400, 300), (".", 9223372036854771712, 5000)):
        machine.write(f"sys/fs/cgroup/memory/{path}/memory.limit_in_bytes", f"{limit}\n")
        machine.write(f"sys/fs/cgroup/memory/{path}/memory.usage_in_bytes", f"{used}\n")
        machine.write(f"sys/fs/cgroup/memory/{path}/memory.stat", "cache 9\ntotal_inactive_file 100\n")
    assert groups(machine) == [
        ("sys/fs/cgroup/memory/app", 400, 200),
        ("sys/fs/cgroup/memory", 9223372036854771712, 4900),
    ]


@pytest.mark.parametrize(
    ("path", "mount_root"), [("/docker/abc", "/docker/abc"), ("/docker/abc", "/"), ("/../other", "/"), ("/", "/")]
)
def test_in_a_container(machine, path, mount_root):
    """A path of the host, that is not there within the container, stands for the top of what is mounted."""
    machine.version_2(path, mount_root).limit(200, 150, 0, ".")
    assert groups(machine) == [("sys/fs/cgroup", 200, 150)]


def test_no_cgroup(tmp_path):
    """Without cgroups the memory is that of the machine."""
    assert memory_groups(str(tmp_path)) == []
    usage = Memory(str(tmp_path)).used()
    assert usage.size == psutil.virtual_memory().total
    assert 0 < usage.used < usage.size


def test_real_files():
    """The files of this machine are understood, whatever version they are."""
    total = psutil.virtual_memory().total
    memory = Memory()
    for usage in (memory.used(), memory.used_by_process()):
        assert 0 < usage.used < usage.size <= total


def test_the_smallest_limit_counts(machine):
    """Of several limits the smallest counts, with what is used of it; one above the machine's memory does not."""
    total = psutil.virtual_memory().total
    machine.version_2("/app/worker").limit(GIB, 600 << 20, 100 << 20, "app").limit(2 * total, 1, 0, "app/worker")
    memory = Memory(str(machine.root))
    assert memory.used() == Usage(500 << 20, GIB)
    own = memory.used_by_process()
    assert own.size == GIB
    assert own.used == pytest.approx(psutil.Process().memory_info().rss, rel=0.5)
    machine.limit(GIB // 2, 256 << 20, 0, "app")  # a limit can change
    assert memory.used() == Usage(256 << 20, GIB // 2)


def told(threshold, *percentages):
    level = Level(threshold)
    return [percent for percent in percentages if level.update(percent, 100) is not None]


@pytest.mark.parametrize(
    ("percentages", "expected"),
    [
        ((10, 79, 10), []),
        ((80, 80, 81, 81, 80), [80, 81, 80]),
        ((85, 70, 60, 79), [85, 70]),
        ((80, 70, 60), [80, 70]),
        ((100, 0, 100), [100, 0, 100]),
    ],
)
def test_level_q19(percentages, expected):
    """Each whole percent from the threshold on is reported, and once the first below it: Q-19, also from the threshold itself."""
    assert told(80, *percentages) == expected


@given(st.lists(st.integers(0, 100)))
def test_level_is_off(percentages):
    """A threshold of 0 reports nothing."""
    assert told(0, *percentages) == []


@given(st.integers(0, 2**63), st.integers(1, 2**63))
def test_sizes_beyond_32_bits_q19(used, size):
    """Q-19: the percentage is that of the whole numbers."""
    assert Level(1).update(used, size) == (None if used * 100 // size < 1 else used * 100 // size)


class Levels(RuleBasedStateMachine):
    """A subscriber that gets the events knows, at and above the threshold, the percentage, and below it that it is."""

    threshold = 60

    def __init__(self):
        super().__init__()
        self.level = Level(self.threshold)
        self.percent = 0
        self.known = 0

    @rule(percent=st.one_of(st.integers(0, 100), st.integers(58, 62)))
    def changes(self, percent):
        before, self.percent = self.known, percent
        told = self.level.update(percent, 100)
        if told is not None:
            assert told == percent
            assert told != before, "reported twice"
            assert max(told, before) >= self.threshold, "reported below the threshold"
            self.known = told

    @invariant()
    def known_is_true(self):
        if self.percent >= self.threshold:
            assert self.known == self.percent
        else:
            assert self.known < self.threshold


TestLevels = Levels.TestCase
TestLevels.settings = settings(max_examples=50, stateful_step_count=30)


async def test_events(machine, sleeper):
    """Both events are raised for a real process in a group that is nearly full, and once more when it is not."""
    machine.version_2().limit(GIB, 900 << 20, 0)
    options = Options(event_shm_threshold=80, event_pkg_threshold=1)
    source = CoreEvents(options, clock=sleeper.clock, sleep=sleeper.sleep, root=str(machine.root))
    async with Recorder({"core-events": source}) as recorder:
        await recorder.events()
        await sleeper.advance(1)
        (shm, full), (pkg, own) = await recorder.events()
        machine.limit(GIB, 100 << 20, 0)
        await sleeper.advance(1)
        (_, recovered), *_ = await recorder.events()
    assert (shm, full) == (
        "E_CORE_SHM_THRESHOLD",
        {"usage": 87, "threshold": 80, "used": 900 << 20, "size": GIB},
    )
    assert pkg == "E_CORE_PKG_THRESHOLD"
    assert own["usage"] == own["used"] * 100 // own["size"] >= 1
    assert (own["threshold"], own["size"], own["pid"]) == (1, GIB, os.getpid())
    assert (recovered["usage"], recovered["used"]) == (9, 100 << 20)


async def test_memory_that_cannot_be_read(machine, sleeper):
    """What cannot be read is a status, and the next look is taken all the same."""
    machine.version_2().limit(GIB, "nonsense", 0)
    source = CoreEvents(
        Options(event_shm_threshold=80), clock=sleeper.clock, sleep=sleeper.sleep, root=str(machine.root)
    )
    async with Recorder({"core-events": source}) as recorder:
        await sleeper.advance(1)
        status = recorder.command("sr_get_status", group="core-events")
        assert (status["Readiness"], status["Status"]) == (False, -1)
        assert "nonsense" in status["Details"]
        machine.limit(GIB, 1, 0)
        await sleeper.advance(1)
        assert recorder.command("sr_get_status", group="core-events")["Readiness"]


def test_memory_among_the_statistics(machine):
    """The groups shmem and pkmem have the sizes that clients of OpenSIPS compute with; the peak never falls."""
    group, eighth = machine.version_2("/app"), GIB // 8
    group.limit(GIB, 5 * eighth, eighth, "app")
    memory = Memory(str(machine.root))
    memory.statistics()
    group.limit(GIB, 3 * eighth, eighth, "app")
    shared, private = memory.statistics()

    assert (shared.name, shared.gauges) == (
        "shmem",
        {
            "total_size": GIB,
            "used_size": 2 * eighth,
            "real_used_size": 2 * eighth,
            "max_used_size": 4 * eighth,
            "free_size": 6 * eighth,
        },
    )
    assert private.name == "pkmem"
    assert private.gauges["0-real_used_size"] <= private.gauges["0-max_used_size"]
    assert private.gauges["0-real_used_size"] + private.gauges["0-free_size"] == private.gauges["0-total_size"] == GIB
