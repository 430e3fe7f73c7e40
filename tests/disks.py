"""Disks that are full."""

import resource
from contextlib import contextmanager


@contextmanager
def file_size_limit(size):
    """Have the kernel refuse whatever makes a file larger than *size* bytes, as a full disk does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
