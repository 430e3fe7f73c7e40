"""`log_level`: the levels of a process that runs."""

import logging
import os

import pytest
from evframe_mi import Management

import evframe
from evframe.plugin import CommandError

PID = os.getpid()


class Broker:
    library_logs = ("library_of_broker",)


@pytest.fixture
def interface():
    """Return an interface in a gateway, in which a library logs, or in a service; levels are restored."""
    names = (None, "evframe", "evframe.mi", "evframe.mi.inner", "library_of_broker", "unrelated")
    before = {name: logging.getLogger(name).level for name in names}
    logging.getLogger().setLevel(logging.INFO)

    def interface(*, is_gateway=True):
        return evframe.EventInterface(plugins={"mi": Management(), "broker": Broker()}, gateway=is_gateway)

    yield interface
    for name, level in before.items():
        logging.getLogger(name).setLevel(level)


@pytest.fixture
def call(interface):
    return caller(interface())


def caller(events):
    command = events.commands.find("log_level")
    return lambda *given, **named: command.run(command.params_of(named or list(given)))


def test_what_a_client_of_opensips_sends(call):
    """The parameters and the answers are those of OpenSIPS, with each of its levels."""
    assert call() == {"Processes": [{"PID": PID, "Log level": 3, "Type": "evframe"}]}
    for level in range(-3, 5):
        assert call(level) == {"New global log level": level}
        assert call(str(level), str(PID)) == {"Log level": level}
        assert call()["Processes"][0]["Log level"] == level
        assert logging.getLogger().isEnabledFor(logging.CRITICAL)
    shown = {4: logging.DEBUG, 3: logging.INFO, 2: logging.WARNING, 1: logging.WARNING, 0: logging.ERROR}
    for level, lowest in shown.items():
        call(level)
        known = (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR, logging.CRITICAL)
        assert min(each for each in known if logging.getLogger().isEnabledFor(each)) == lowest


def test_names(call):
    """A level has a name as well, whatever the case."""
    assert call("debug") == {"New global log level": 4}
    assert call(level="Warning") == {"New global log level": 1}
    assert logging.getLogger().level == logging.WARNING


@pytest.mark.parametrize(
    ("given", "code", "problem"),
    [
        ({"level": 5}, -32602, "expected a level from -3 to 4, or one of debug, info, notice, warning"),
        ({"level": "loud"}, -32602, "expected a level from"),
        ({"level": "default"}, -32602, "expected a level from"),
        ({"level": ""}, -32602, "Bad type for parameter 'level'"),
        ({"level": None}, -32602, "Bad type for parameter 'level'"),
        ({"level": [4]}, -32602, "Bad type for parameter 'level'"),
        ({"level": "²"}, -32602, "Bad type for parameter 'level'"),
        ({"pid": PID}, -32602, "Named parameters do not match"),
        ({"level": 4, "pid": PID + 1}, 404, "expected PID, or no pid"),
        ({"level": 4, "logger": "no.such"}, 404, "expected the name of a logger"),
        ({"level": 4, "logger": ""}, -32602, "Bad type for parameter 'logger'"),
    ],
)
def test_wrong_parameters(call, given, code, problem):
    """What cannot be used is one error, and changes nothing, not even the names of loggers."""
    known = set(logging.root.manager.loggerDict)
    with pytest.raises(CommandError) as caught:
        call(**given)
    assert caught.value.code == code
    assert caught.value.data.startswith(problem.replace("PID", str(PID)))
    assert call() == {"Processes": [{"PID": PID, "Log level": 3, "Type": "evframe"}]}
    assert set(logging.root.manager.loggerDict) == known


def test_one_logger(call):
    """A logger, and those below it, have another level than the process until that is taken back."""
    inner = logging.getLogger("evframe.mi.inner")
    assert call(logger="evframe.mi") == {"Logger": "evframe.mi", "Log level": 3}
    assert call(level="debug", logger="evframe.mi") == {"Logger": "evframe.mi", "Log level": 4}
    assert inner.isEnabledFor(logging.DEBUG)
    assert not logging.getLogger("evframe.interface").isEnabledFor(logging.DEBUG)
    assert call()["Loggers"] == [{"Logger": "evframe.mi", "Log level": 4}]
    assert call(level="default", logger="evframe.mi") == {"Logger": "evframe.mi", "Log level": 3}
    assert not inner.isEnabledFor(logging.DEBUG)
    assert "Loggers" not in call()


def test_the_lines_of_libraries(call):
    """They are logged at DEBUG alone, unless the library has a level."""
    library = logging.getLogger("library_of_broker")
    for level, is_logged in ((4, True), (3, False), (1, False), (4, True), (3, False)):
        call(level)
        assert library.isEnabledFor(logging.CRITICAL) is is_logged
    call(level=1, logger="library_of_broker")
    evframe.logs.fold_libraries(["library_of_broker"])  # as a reload does
    call(3)
    assert library.isEnabledFor(logging.WARNING)


def test_a_service(interface):
    """In a service, the command changes what evframe logs, and no logger of the service."""
    call = caller(interface(is_gateway=False))
    logging.getLogger("unrelated")
    before = logging.getLogger().level
    assert call(4) == {"New global log level": 4}
    assert (logging.getLogger().level, logging.getLogger("evframe").level) == (before, logging.DEBUG)
    with pytest.raises(CommandError) as caught:
        call(level=4, logger="unrelated")
    assert (caught.value.code, caught.value.data) == (400, "expected a logger of evframe, got 'unrelated'")
    assert call(level=4, logger="evframe.mi") == {"Logger": "evframe.mi", "Log level": 4}


def test_a_change_is_logged(call, caplog):
    """A change is a line of the log, before the log becomes quiet, or after it has become less so."""
    logging.getLogger().setLevel(logging.INFO)
    for level in (-1, 3):
        call(level)
    lines = [(each.changed, each.new_level) for each in caplog.records if each.message == "the log level is changed"]
    assert lines == [("root", -1), ("root", 3)]
