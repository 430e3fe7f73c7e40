"""A route that writes what it takes to a file, and raises while another file is there."""

import os

taken = os.open(os.environ.get("EVFRAME_TAKEN", os.devnull), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)


def take(event):
    if os.path.exists(os.environ["EVFRAME_BROKEN"]):
        raise RuntimeError("the database is away")
    os.write(taken, b"%d\n" % event["n"])
