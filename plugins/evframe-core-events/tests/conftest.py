"""What the tests of the core events share."""

import asyncio

import pytest

from evframe.plugins.markers import hookimpl
from evframe.testing import FakeClock


class Sleeper:
    """Waits on a `FakeClock`: give its `sleep` to what waits, and `advance` it."""

    def __init__(self):
        self.clock = FakeClock()
        self._sleepers = []

    async def sleep(self, seconds):
        future = asyncio.get_running_loop().create_future()
        self._sleepers.append((self.clock() + seconds, future))
        await future

    async def advance(self, seconds):
        """Advance, and run what has slept."""
        await asyncio.sleep(0)
        self.clock.advance(seconds)
        due, self._sleepers = (
            [each for each in self._sleepers if each[0] <= self.clock()],
            [each for each in self._sleepers if each[0] > self.clock()],
        )
        for _, future in due:
            if not future.done():
                future.set_result(None)
        await asyncio.sleep(0)
        await asyncio.sleep(0)


class Machine:
    """A folder like / with the limits of cgroups, version 2 or 1."""

    def __init__(self, root):
        self.root = root

    def write(self, path, text):
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def version_2(self, path="/app", mount_root="/"):
        self.write("proc/self/cgroup", f"0::{path}\n")
        line = f"31 23 0:28 {mount_root} /sys/fs/cgroup rw,relatime shared:9 - cgroup2 cgroup2 rw\n"
        self.write("proc/self/mountinfo", f"22 1 8:1 / / rw - ext4 /dev/sda1 rw\n{line}")
        return self

    def version_1(self, path="/app", mount_root="/"):
        self.write("proc/self/cgroup", f"9:name=systemd:/\n5:memory,hugetlb:{path}\n0::/\n")
        line = f"35 31 0:32 {mount_root} /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n"
        other = "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n"
        self.write("proc/self/mountinfo", other + line)
        return self

    def limit(self, limit, used=0, cache=0, path="app"):
        """Write the files of a version 2 group."""
        self.write(f"sys/fs/cgroup/{path}/memory.max", f"{limit}\n")
        self.write(f"sys/fs/cgroup/{path}/memory.current", f"{used}\n")
        self.write(f"sys/fs/cgroup/{path}/memory.stat", f"anon 1\ninactive_file {cache}\nactive_file 7\n")
        return self


class Group:
    """A group of workers for the tests, as busy as a test says."""

    kind = "ROUTE"
    filter = "none"
    bounds = (1, 4)

    def __init__(self, size=1):
        self.size = size
        self.load = 0

    def load_percent(self):
        return self.load

    def grow(self):
        self.size += 1
        return self.size

    def shrink(self):
        self.size -= 1
        return self.size + 1

    @hookimpl
    def worker_groups(self):
        return [self]


@pytest.fixture
def machine(tmp_path):
    return Machine(tmp_path)


@pytest.fixture
def sleeper():
    return Sleeper()


@pytest.fixture
def group():
    return Group()
