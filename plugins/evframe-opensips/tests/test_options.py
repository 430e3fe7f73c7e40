"""The options of the bridge."""

import pytest
from evframe_opensips import OpensipsBridge, Options

import evframe
from evframe.config import parse_config

ONE = '[[plugins.opensips.instances]]\nname = "one"\nurl = "http://127.0.0.1:8888/mi"\n'


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[plugins.opensips]\nmodules = ['nosuch']\n", "plugins.opensips.modules: expected of"),
        ("[plugins.opensips]\nmodules = 'pike'\n", "plugins.opensips.modules: expected a list"),
        ("[plugins.opensips]\nlisten = 'host.example'\n", "listen: expected an IP address"),
        ("[plugins.opensips]\nports = '9-8'\n", "ports: expected first-last"),
        ("[plugins.opensips]\nports = '1-65536'\n", "ports: expected first-last"),
        ("[plugins.opensips]\nunix_socket_mode = '999'\n", "unix_socket_mode: expected an octal"),
        ("[plugins.opensips]\nexpire_s = 8\n", "check_interval_s: expected at most a quarter of expire_s"),
        ("[plugins.opensips]\nexpire_s = 0\n", "expire_s: expected 4 or more"),
        ("[plugins.opensips]\ncolour = 1\n", "plugins.opensips: unknown key 'colour'"),
        (ONE + ONE, "instances: expected a name of its own for each, got 'one' twice"),
        (ONE + ONE.replace("one", "ONE"), "instances: expected a name of its own for each, got 'ONE' twice"),
        (ONE + "colour = 1\n", "plugins.opensips.instances[0]: unknown key 'colour'"),
        (ONE + "transport = 'sctp'\n", "plugins.opensips.instances[0].transport"),
        (ONE + "transport = 'unix'\n", "plugins.opensips.instances[0].path: expected an absolute path"),
        (ONE + "transport = 'unix'\npath = 'relative'\n", "instances[0].path: expected an absolute path"),
        (ONE + f"transport = 'unix'\npath = '/{'x' * 107}'\n", "at most 107 bytes"),
        (ONE + "path = '/tmp/x'\n", "path: expected none with the transport 'udp'"),
        (ONE + "port = 65536\n", "plugins.opensips.instances[0].port: expected 0 to 65535"),
        (ONE + "advertise = '192.0.2.1:80'\n", "plugins.opensips.instances[0].advertise: expected a host"),
        (ONE.replace("one", "a/b"), "plugins.opensips.instances[0].name: expected text without '/'"),
        (ONE.replace("http:", "ftp:"), "plugins.opensips.instances[0].url: URL"),
        (ONE.replace("url", "uri"), "plugins.opensips.instances[0]"),
        (ONE.replace("127.0.0.1", "192.0.2.1"), "listen: expected an address that instances[0] ('one') can reach"),
        (ONE.replace("http://127.0.0.1:8888/mi", "udp://proxy.example:8080"), "listen: expected an address"),
        (
            "".join(
                ONE.replace("one", name) + f"transport = 'unix'\npath = '/run/{name}'\n" for name in ("b", "a2", "a")
            ),
            "instances: expected paths of which none is the beginning of another one, got '/run/a' ('a') and '/run/a2' ('a2')",
        ),
        (
            "[plugins.opensips]\ninstance_param = ''\nmodules = ['core']\n" + ONE,
            "instance_param: expected a name, because E_CORE_",
        ),
        (
            "[plugins.opensips]\ninstance_param = ''\nevents = ['E_*']\n" + ONE,
            "instance_param: expected a name, because E_CORE_",
        ),
        (
            "[plugins.opensips]\ninstance_param = 'instance'\n" + ONE,
            "instance_param: expected a name that no event has",
        ),
    ],
)
def test_problems(text, problem):
    """Each problem is named with its path and the accepted form."""
    with pytest.raises(evframe.ConfigError) as caught:
        evframe.EventInterface(parse_config(text))

    assert problem in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        ONE,
        ONE + "transport = 'tcp'\nport = 20000\n",
        ONE + "transport = 'unix'\npath = '/run/evframe/one.sock'\n",
        ONE.replace("127.0.0.1", "192.0.2.1") + "advertise = '[2001:db8::1]'\n",
        ONE.replace("127.0.0.1", "192.0.2.1") + "transport = 'unix'\npath = '/run/shared.sock'\n",
        ONE.replace("http://127.0.0.1:8888/mi", "fifo:///tmp/opensips_fifo"),
        ONE.replace("http://127.0.0.1:8888/mi", "unix:///run/opensips/mi.sock"),
        ONE.replace("http://127.0.0.1:8888/mi", "http+unix://%2Frun%2Fmi.sock/mi"),
        "[plugins.opensips]\nlisten = '0.0.0.0'\nports = '20000-20099'\n" + ONE.replace("127.0.0.1", "proxy.example"),
        "[plugins.opensips]\nlisten = '[::]'\n" + ONE.replace("127.0.0.1", "[2001:db8::2]"),
        "[plugins.opensips]\nmodules = ['pike', 'core']\nevents = ['E_SCRIPT_*']\ninstance_param = ''\n",
        "[plugins.opensips]\nmodules = ['pike']\ninstance_param = ''\n" + ONE,
    ],
)
def test_accepted(text):
    """Each form of an instance can be configured, however the gateway is reached."""
    evframe.EventInterface(parse_config(text))


def declared(text):
    events = evframe.EventInterface(parse_config(text))
    (status,) = [status for status in events.plugin_status if status.name == "opensips"]
    return status.events, events


def test_nothing_is_declared_unless_chosen():
    """An installed bridge without a choice and without an instance adds no event to a gateway."""
    assert declared("")[0] == ()
    assert declared("[plugins.opensips]\nmodules = ['pike']\n")[0] == ("E_PIKE_BLOCKED",)
    assert declared("[plugins.opensips]\nevents = ['E_UL_AOR_*']\n")[0] == ("E_UL_AOR_INSERT", "E_UL_AOR_DELETE")
    everything = declared(ONE)[0]
    assert "E_PIKE_BLOCKED" in everything
    assert "E_PROFILING_SCRIPT" not in everything


@pytest.mark.parametrize("param", ["opensips_instance", "from", ""])
def test_what_is_declared(param):
    """A declaration has the parameters in order, then the instance's name, and refuses nothing."""
    plugin = OpensipsBridge(Options(modules=["dispatcher"], instance_param=param))
    event = evframe.EventInterface(plugins={"opensips": plugin}).event("E_DISPATCHER_STATUS")
    own = ["partition", "group", "address", "status", "reason"]
    assert list(event.params) == own + [param] * bool(param)
    assert all(event.params[name].optional for name in {"partition", param} if name)
    assert event.enforced is None
