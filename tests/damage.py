"""Files whose bytes have changed, as on a disk that fails."""

import glob
import os
import random
from pathlib import Path


def damaged(data, seed):
    """Return *data* with some bytes changed, anywhere behind the head of a file of SQLite."""
    chance, changed = random.Random(seed), bytearray(data)
    for _ in range(chance.choice([1, 1, 20])):
        changed[chance.randrange(100, len(changed))] = chance.randrange(256)
    if chance.random() < 0.2:
        place = chance.randrange(100, len(changed) - 4096)
        changed[place : place + 4096] = chance.randbytes(4096)
    return bytes(changed)


def each_damaged(path, seeds):
    """Write the database *path* with the damage of each of *seeds*, which are yielded, without what is beside it."""
    data = Path(path).read_bytes()
    for seed in seeds:
        for name in glob.glob(f"{glob.escape(str(path))}?*"):
            os.unlink(name)
        Path(path).write_bytes(damaged(data, seed))
        yield seed
