"""The route of the demonstration: called inside the gateway for each event."""

import sys

import evframe


async def on_call_ended(event: evframe.Event) -> None:
    """Print the event with its parameters by name and by index."""
    sys.stdout.write(f"{event['caller']} talked for {event[2]} s\n")
    sys.stdout.flush()
