"""The brokers of a session of tests."""

import os
from importlib import import_module

# By the name of the fixture, the module and the class; each is imported when a test asks for it.
KINDS = {
    "kafka": ("brokers.kafka", "Kafka"),
    "mosquitto": ("brokers.mosquitto", "Mosquitto"),
    "moto": ("brokers.moto", "Moto"),
    "nats": ("brokers.nats", "Nats"),
    "rabbitmq": ("brokers.rabbitmq", "RabbitMQ"),
    "rsyslog": ("brokers.rsyslog", "Rsyslog"),
    "redis": ("brokers.redis", "Redis"),
}


class Given:
    """A broker that runs already."""

    def __init__(self, address):
        host, _, port = address.rpartition(":")
        if host not in {"127.0.0.1", "localhost"}:
            raise RuntimeError(f"expected a broker on this machine, as 127.0.0.1:port, got {address!r}")
        self.port = int(port)


def given(name):
    """Return the address of a broker that runs already, as host:port: EVFRAME_KAFKA, and so with each other kind."""
    return os.environ.get(f"EVFRAME_{name.upper()}")


class Brokers:
    """Those that the tests of this process have asked for."""

    def __init__(self):
        self._own = {}

    def get(self, name):
        """Return a broker that can be used."""
        if given(name):
            return Given(given(name))
        if name not in self._own:
            module, kind = KINDS[name]
            self._own[name] = getattr(import_module(module), kind)()
            self._own[name].start()
        return self._own[name]

    def check(self, name):
        """Have a broker that was started run: a test may have left it stopped.

        Raises:
            RuntimeError: if it has ended by itself, with the end of what it printed; it is started again, too.
        """
        own = self._own.get(name)
        if own is None:
            return
        ended = None if own.process is None else own.process.poll()
        if ended is not None:
            own.stop()
        if own.process is None:
            own.start()
        if ended is not None:
            raise RuntimeError(f"{own.name} has ended with {ended}: {own.printed}")

    def remove(self):
        """End all that were started."""
        for broker in self._own.values():
            broker.remove()
