"""The policy of run-time clients: what each rule permits, whatever the notation."""

import ipaddress
import json

import attrs
import pytest
from evframe_mi import Management, ManagementOptions, NarrowingOptions, Options, dispatcher_of
from evframe_mi.policy import Policy
from evframe_mi.testing import management

import evframe
from evframe.delivery.members import Address
from evframe.exceptions import ConfigError, ForbiddenError
from evframe.plugin import Policy as Rules
from evframe.plugin import Terms
from evframe.plugins.compose import compose
from evframe.testing import FakeNames, MemoryTransport
from evframe.testing.transports import until


@attrs.frozen
class Target:
    """A socket as a transport makes it."""

    canonical: str
    endpoints: tuple = ()
    files: tuple = ()
    members: tuple = ()
    expires: bool = True
    names_hosts: bool = False


def at(host, scheme="udp"):
    return Target(f"{scheme}:{host}:1", endpoints=((host, 1),))


def file(path, *others):
    return Target(f"flatstore:{path}", files=(str(path), *map(str, others)))


def combined(*members):
    return Target("virtual:PARALLEL …", members=tuple(Address(member, None) for member in members))


def permits(target, narrowing=None, **options):
    try:
        Policy("mi", ManagementOptions(**options), narrowing).check_socket(target)
    except ForbiddenError:
        return False
    return True


@pytest.mark.parametrize("scheme", ["udp", "tcp", "xmlrpc", "xmlrpcs", "rabbitmq", "kafka", "unix"])
def test_network_schemes_are_permitted_by_default(scheme):
    """What OpenSIPS delivers to over the network, and UNIX sockets, may be subscribed."""
    assert permits(at("192.0.2.1", scheme))


def test_neither_files_nor_callables_are_permitted_by_default():
    """A file, an event route and a scheme that came later have to be named."""
    assert not permits(file("/tmp/x"))
    assert not permits(Target("route:E_A"))
    assert not permits(Target("sqs:queue"))
    assert permits(Target("route:E_A"), schemes=["*"])
    assert permits(Target("sqs:queue"), schemes=["udp", "sqs"])
    assert not permits(at("192.0.2.1", "tcp"), schemes=["udp", "sqs"])


def test_combined_sockets_are_judged_by_their_members():
    """Members within members are looked at, and the scheme of what combines them is not."""
    harmless, route = at("192.0.2.1"), Target("route:E_A")
    assert permits(combined(harmless, combined(harmless)))
    assert not permits(combined(harmless, combined(harmless, route)))
    assert permits(combined(harmless), schemes=["udp"])


def test_files_are_compared_by_their_real_paths(tmp_path):
    """Links, dots, the folder itself and a suffix lead out of a folder no more than a plain path."""
    root, outside = tmp_path / "root", tmp_path / "outside"
    root.mkdir()
    outside.mkdir()
    (root / "link").symlink_to(outside)
    (root / "linked").symlink_to(outside / "x")
    (tmp_path / "way").symlink_to(root)
    roots = {"file_roots": [str(tmp_path / "way")]}
    for path in [root / "x", root / "new" / "x", tmp_path / "way" / "x", f"{root}/new/../x"]:
        assert permits(file(path), **roots), path
    for path in [
        outside / "x",
        root / "link" / "x",
        root / "linked",
        f"{root}/../outside/x",
        f"{root}/new/../../x",
        root,
    ]:
        assert not permits(file(path), **roots), path
    assert not permits(file(f"{root}/new/..", f"{root}/new/...2026"), **roots)
    assert not permits(file(root / "x", f"{root}.2026"), **roots)
    assert not permits(file(root.parent / "root2"), **roots)


def test_a_refused_file_names_the_key_that_would_permit_it():
    """Without `schemes` a file needs a folder in `file_roots` alone, so the refusal names that key."""
    with pytest.raises(ForbiddenError) as caught:
        Policy("mi", ManagementOptions()).check_socket(file("/srv/x"))
    assert caught.value.rule == "file_roots"
    assert str(caught.value).endswith("expected a file below a folder of file_roots, got '/srv/x'")


def test_relative_files_are_those_of_the_working_directory(tmp_path, monkeypatch):
    """A relative path is compared as what it names."""
    monkeypatch.chdir(tmp_path)
    assert permits(file("x"), file_roots=[str(tmp_path)])
    assert not permits(file("../x"), file_roots=[str(tmp_path)])


def test_files_need_a_folder_and_a_scheme():
    """Folders permit files where no schemes are named; named schemes hold for files, too."""
    assert permits(file("/srv/x"), file_roots=["/srv"])
    assert permits(file("/srv/x"), file_roots=["/"])
    assert not permits(file("/srv/x"), schemes=["*"])
    assert permits(file("/srv/x"), schemes=["*"], file_roots=["/srv"])
    assert not permits(file("/srv/x"), schemes=["udp"], file_roots=["/srv"])


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1", "127.1", "127.0.1", "2130706433", "0x7f000001", "0x7f.1", "017700000001", "0177.0.0.1",
        "::1", "[::1]", "0:0:0:0:0:0:0:1", "::ffff:127.0.0.1", "::ffff:7f00:1", "[::ffff:127.0.0.1]",
        "0.0.0.0", "0", "0x0", "::", "::ffff:0.0.0.0", "１２７.0.0.1",
    ],
)  # fmt: skip
def test_this_machine_does_not_slip_past_networks(host):
    """Every notation of an address of this machine is refused where only others are permitted."""
    others = {"networks": ["10.0.0.0/8", "2001:db8::/32"]}
    assert not permits(at(host), **others)
    assert not permits(combined(at("10.1.1.1"), combined(at(host))), **others)
    assert permits(at(host), networks=["127.0.0.0/8", "::1/128"])


def test_networks_hold_for_numeric_hosts_and_leave_paths_alone():
    """An address within a network, and a UNIX path, may be subscribed."""
    networks = {"networks": ["10.0.0.0/8", "2001:db8::/32"]}
    for host in ["10.1.2.3", "::ffff:10.1.2.3", "2001:db8::1", "10.1", "broker.example"]:
        assert permits(at(host), **networks), host
    assert permits(Target("unix:/run/x"), **networks)
    assert not permits(at("11.0.0.1"), **networks)
    assert not permits(Target("kafka:a", endpoints=(("10.1.1.1", 1), ("11.1.1.1", 1))), **networks)
    assert not permits(at("10.1.1.1"), networks=[])


def test_tables_of_an_interface_narrow():
    """The keys in the table of an interface permit no more than the table of all."""
    assert not permits(at("10.1.1.1"), NarrowingOptions(schemes=["tcp"]))
    assert not permits(Target("route:E_A"), NarrowingOptions(schemes=["route"]))
    assert not permits(at("11.1.1.1"), NarrowingOptions(networks=["10.0.0.0/8"]))
    assert not permits(at("10.1.1.1"), NarrowingOptions(networks=["10.0.0.0/8"]), networks=["11.0.0.0/8"])
    assert not permits(file("/srv/x"), NarrowingOptions(file_roots=[]), file_roots=["/srv"])
    policy = Policy("mi", ManagementOptions(networks=["10.0.0.0/8"]), NarrowingOptions(networks=["10.1.0.0/16"]))
    assert policy.networks == (ipaddress.ip_network("10.1.0.0/16"),)
    assert not Policy(
        "mi", ManagementOptions(end_configured=False), NarrowingOptions(end_configured=True)
    ).may_end_configured
    assert not Policy(
        "mi", ManagementOptions(end_configured=True), NarrowingOptions(end_configured=False)
    ).may_end_configured
    assert Policy("mi", ManagementOptions(end_configured=True), NarrowingOptions()).may_end_configured


def test_bad_tables_are_named():
    """What is wrong with the table is said with its path."""
    text = """[management]
schemes = ["udp:"]
file_roots = ["relative"]
networks = ["10.0.0.1/8"]
raise_events = "E_*"
end_configured = 1
colour = 1
"""
    with pytest.raises(ConfigError) as caught:
        evframe.EventInterface(evframe.config.parse_config(text))
    problems = "\n".join(caught.value.problems)
    for path in ["schemes", "file_roots", "networks", "raise_events", "end_configured"]:
        assert f"management.{path}: expected" in problems
    assert "management: unknown key 'colour'" in problems


def ask(management, method, params=None, **members):
    request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": [] if params is None else params} | members
    answer = management.handle(json.dumps(request).encode())
    return None if answer is None else json.loads(answer)


def made(options=None, **more):
    events = evframe.EventInterface(
        plugins={"mi": Management(Options(options or ManagementOptions())), "memory": MemoryTransport(), **more},
    )
    events.register_event("E_A")
    events.register_event("E_B")
    return events


class Follower:
    """Follows some keys of policies."""

    policy_keys = frozenset({"where", "only", "rate", "burst"})

    @evframe.hookimpl
    def check_policy(self, policy):
        if policy.where == "broken":
            raise ValueError("where: expected an expression, got 'broken'")


def test_clients_set_policies_by_name():
    """A subscription by name may have the keys that clients may set; any other, or a wrong value, is one error."""
    events = made(ManagementOptions(schemes=["*"]), follower=Follower())
    base = {"event": "E_A", "socket": "memory:a"}
    assert (
        ask(management(events), "event_subscribe", {**base, "expire": 9, "rate": 2, "where": "n = 1"})["result"] == "OK"
    )
    [lease] = events.subscriptions
    assert (lease.requested, lease.expire_s) == (Rules(rate=2.0, where="n = 1"), 9)
    for given, code, problem in (
        ({"where": "broken"}, 400, "where: expected an expression"),
        ({"rate": "fast"}, 400, "rate: expected float, got 'fast'"),
        ({"rate": 0}, 400, "rate: expected more than 0"),
        ({"only": 1}, 400, "only: expected a list"),
        ({"dedup_s": 1}, 400, "dedup_s: expected a loaded plugin that follows it"),
        ({"keep": "disk"}, 400, "keep: expected it in the configuration, a client may set burst, dedup_s, max_age_s"),
        ({"max_bytes": 1}, 400, "max_bytes: expected it in the configuration"),
        ({"priority": 1, "rate": 1}, 400, "priority: expected it in the configuration"),
        ({"rates": 1}, -32602, "Named parameters do not match"),
    ):
        error = ask(management(events), "event_subscribe", base | given)["error"]
        assert (error["code"], error["data"][: len(problem)]) == (code, problem)
    assert lease.requested == Rules(rate=2.0, where="n = 1")
    as_text = {**base, "rate": "2.5", "burst": "7", "only": "n, m"}
    assert ask(management(events), "event_subscribe", as_text)["result"] == "OK"
    assert lease.requested == Rules(rate=2.5, burst=7, only=["n", "m"])
    assert ask(management(events), "event_subscribe", ["E_A", "memory:a"])["result"] == "OK"
    assert lease.requested == Rules()


def test_events_that_may_be_raised():
    """Other events are refused with the original's 400, in a notification silently, and counted."""
    events = made(ManagementOptions(raise_events=["E_A*"]))
    for name in ("E_A", "E_B"):
        events.subscribe_event(name, "memory:a")
    assert ask(management(events), "raise_event", ["E_A"])["result"] == "OK"
    assert ask(management(events), "raise_event", ["E_B"])["error"] == {"code": 400, "message": "Bad Params"}
    request = b'{"jsonrpc":"2.0","method":"raise_event","params":["E_B"]}'
    assert management(events).handle(request) is None
    assert events.event("E_B").raised == 0
    assert ask(management(events), "evi:statistics")["result"]["Refused"] == {"raise_events": 2}


def test_commands_that_may_be_called():
    """A pattern may match any of a command's names, and then it is called by each of them; others are 400."""
    events = made(ManagementOptions(commands=["evi:*list*", "which", "events_l*", "raise_event"]))
    for method in ["evi:list", "events_list", "core:which", "which", "evi:raise", "raise_event"]:
        code = ask(management(events), method, ["E_A"] if "raise" in method else [])
        assert code.get("error", {}).get("code") in {None, 480}, method
    for method in ["core:pwd", "pwd", "evi:subscribe", "event_subscribe", "core:reload"]:
        assert ask(management(events), method)["error"] == {"code": 400, "message": "Bad parameter value"}, method
    assert ask(management(events), "nosuch")["error"]["code"] == -32601
    assert ask(management(events), "which")["result"] == ["core:which", "evi:list", "evi:raise"]


def test_refusals_are_logged_once_in_a_while(caplog):
    """A client that is refused a thousand times writes one line, and is counted each time."""
    events = made(ManagementOptions(schemes=["udp"]))
    for _ in range(1000):
        error = ask(management(events), "event_subscribe", ["E_A", "memory:a"])["error"]
        assert error == {"code": 400, "message": "Bad parameter value"}
    (record,) = caplog.records
    assert (record.rule, record.interface) == ("schemes", "")
    assert "'memory'" in record.problem
    assert events.plugin("mi").policies.refused == {"schemes": 1000}


def test_configured_subscriptions_stay():
    """A refresh by a client is OK and changes nothing, expire 0 is 400; with end_configured both work."""
    for may_end in (False, True):
        events = made(ManagementOptions(schemes=["memory"], end_configured=may_end))
        events.subscribe_event("E_A", "memory:a", configured=True)
        assert ask(management(events), "event_subscribe", ["E_A", "memory:a", 5])["result"] == "OK"
        assert [lease.expire_s for lease in events.subscriptions] == [5 if may_end else 0]
        ended = ask(management(events), "event_subscribe", ["E_A", "memory:a", 0])
        assert ended.get("result") == ("OK" if may_end else None)
        assert len(events.subscriptions) == (0 if may_end else 1)
        if not may_end:
            assert ended["error"] == {"code": 400, "message": "Bad parameter value"}


def test_only_network_schemes_without_a_table():
    """Without `schemes`, the scheme of any other package is refused, whatever its sockets say of themselves."""
    events = made()
    assert ask(management(events), "event_subscribe", ["E_A", "memory:a"])["error"]["code"] == 400
    assert events.plugin("mi").policies.refused == {"schemes": 1}
    target = attrs.make_class("Claims", ["canonical", "is_double"])("memory:a", True)
    with pytest.raises(ForbiddenError, match="permitted scheme"):
        events.plugin("mi").policies.general.check_socket(target)


def test_kept_leases_are_checked():
    """A lease that an earlier process made comes back as far as the policy of now permits."""
    events = made(ManagementOptions(schemes=["udp"]))
    with pytest.raises(evframe.SocketError, match="permitted scheme"):
        events.restore_subscription("E_A", "memory:a", Terms(60), 60)
    assert events.subscriptions == []


class NetTransport:
    """Parses ``udp:host``, and connects to nothing."""

    schemes = ("udp",)

    @evframe.hookimpl
    def on_subscribe(self, scheme, rest):
        return at(rest) if scheme == "udp" else None

    @evframe.hookimpl
    def deliver(self, socket, batch):
        return True


async def addresses_of(events, host):
    try:
        return [address.ip for address in await events.resolver.addresses(host, 1)]
    except evframe.Unavailable as error:
        return error.reason


async def test_names_are_compared_whenever_they_resolve():
    """A client's name has the addresses of permitted networks alone, and none of others, at any time."""
    events = made(ManagementOptions(networks=["10.0.0.0/8"]), net=NetTransport())
    with FakeNames({"moves": ["10.1.1.1", "127.0.0.1"], "localhost": ["127.0.0.1"]}) as names:
        events.resolver.lookup = names
        async with events:
            for host in ("moves", "localhost"):
                assert ask(management(events), "event_subscribe", ["E_A", f"udp:{host}"])["result"] == "OK"
            assert await addresses_of(events, "moves") == ["10.1.1.1"]
            assert await addresses_of(events, "localhost") == "forbidden"
            names["moves"] = ["::ffff:127.0.0.1", "0.0.0.0"]
            events.resolver.refresh_all()
            await until(lambda: events.resolver.known("moves", 1) is None)
            assert await addresses_of(events, "moves") == "forbidden"


async def test_names_of_the_configuration_may_have_any_address():
    """A client neither restricts a name that the configuration subscribes, nor subscribes it elsewhere."""
    events = made(ManagementOptions(networks=["10.0.0.0/8"]), net=NetTransport())
    with FakeNames({"broker": ["192.0.2.1"], "peer": ["192.0.2.2"]}) as names:
        events.resolver.lookup = names
        async with events:
            events.subscribe_event("E_B", "udp:broker", configured=True)
            assert await addresses_of(events, "broker") == ["192.0.2.1"]
            assert ask(management(events), "event_subscribe", ["E_A", "udp:broker"])["error"]["code"] == 400
            assert await addresses_of(events, "broker") == ["192.0.2.1"]
            assert ask(management(events), "event_subscribe", ["E_A", "udp:peer"])["result"] == "OK"
            assert await addresses_of(events, "peer") == "forbidden"
            events.subscribe_event("E_B", "udp:peer")
            assert await addresses_of(events, "peer") == ["192.0.2.2"]


class NamingTransport(NetTransport):
    """The same, with peers that name other hosts."""

    @evframe.hookimpl
    def on_subscribe(self, scheme, rest):
        return Target(f"udp:{rest}", endpoints=((rest, 1),), names_hosts=True) if scheme == "udp" else None


async def test_networks_hold_for_hosts_that_peers_name():
    """They hold unless this process itself subscribes each of the endpoints, be these names or numeric."""
    events = made(ManagementOptions(networks=["10.0.0.0/8"]), net=NamingTransport())
    beyond, networks = events.plugin("mi").leases.beyond, (ipaddress.ip_network("10.0.0.0/8"),)
    with FakeNames() as names:
        events.resolver.lookup = names
        async with events:
            for own, clients in ((("own", 1), ("clients", 1)), (("192.0.2.1", 1), ("10.1.1.1", 1))):
                events.subscribe_event("E_B", f"udp:{own[0]}")
                assert ask(management(events), "event_subscribe", ["E_A", f"udp:{clients[0]}"])["result"] == "OK"
                assert beyond([own]) is None
                for endpoints in ([clients], [own, clients], [(own[0], 2)]):
                    assert beyond(endpoints) == networks
                events.unsubscribe_event("E_B", f"udp:{own[0]}")
                await until(lambda own=own: beyond([own]) == networks)
    assert made(net=NamingTransport()).plugin("mi").leases.beyond([("clients", 1)]) is None


def test_each_interface_has_its_policy(install, tmp_path):
    """The keys in the table of one interface leave the others as they are."""
    install(memory="evframe.testing:MemoryTransport", narrow="test_policy_interface:Interface")
    (tmp_path / "site" / "test_policy_interface.py").write_text(
        "import evframe\n"
        "from evframe_mi import NarrowingOptions\n"
        "class Interface:\n"
        "    Options, kind = NarrowingOptions, 'management'\n"
        "    def __init__(self, options):\n"
        "        pass\n"
        "    @evframe.hookimpl\n"
        "    def loaded(self, context):\n"
        "        self.context = context\n"
    )
    text = (
        '[plugins.narrow]\ncommands = ["which"]\nschemes = ["tcp"]\n[plugins]\ndisable = []\n[[events]]\nname = "E_A"\n'
    )
    events = evframe.EventInterface(evframe.config.parse_config(text))
    narrow = dispatcher_of(events.plugin("narrow").context)
    assert ask(management(events), "pwd")["result"]
    assert ask(narrow, "pwd")["error"]["code"] == 400
    assert ask(narrow, "which")["result"] == ["core:which"]


async def test_reload_ends_what_is_not_permitted_any_more(installed):
    """A reload that narrows the policy ends the leases of clients, and none of the others."""
    text = '[[events]]\nname = "E_A"\n[[subscriptions]]\nevent = "E_A"\nsocket = "memory:configured"\n'
    wide = f'{text}[management]\nschemes = ["memory"]\n'
    async with evframe.EventInterface(evframe.config.parse_config(wide)) as events:
        events.subscribe_event("E_A", "memory:own")
        assert ask(management(events), "event_subscribe", ["E_A", "memory:client"])["result"] == "OK"
        changes = events.reload(evframe.config.parse_config(f'{text}[management]\nschemes = ["udp"]\n'))
        assert changes.reported == {"management": ["schemes"]}
        assert changes.ended == ["E_A memory:client"]
        assert [lease.subscriber.socket.canonical for lease in events.subscriptions] == [
            "memory:configured",
            "memory:own",
        ]
        assert ask(management(events), "event_subscribe", ["E_A", "memory:client"])["error"]["code"] == 400
        assert events.reload(evframe.config.parse_config(wide)).reported == {"management": ["schemes"]}
        assert ask(management(events), "event_subscribe", ["E_A", "memory:client"])["result"] == "OK"


async def test_a_refused_reload_changes_no_rule(installed, tmp_path):
    """When another plugin refuses its options, the rules stay as they were, and no lease ends."""
    text = '[[events]]\nname = "E_A"\n[plugins.mi-http]\nbind = "127.0.0.1:0"\n'
    wide = f'{text}[management]\nschemes = ["memory"]\n'
    async with evframe.EventInterface(evframe.config.parse_config(wide)) as events:
        policies, http = events.plugin("mi").policies, events.plugin("mi-http")
        rules = policies.rules
        assert ask(management(events).of("mi-http"), "event_subscribe", ["E_A", "memory:client"])["result"] == "OK"
        narrow = (
            '[[events]]\nname = "E_A"\n[management]\nschemes = ["udp"]\n'
            f'[plugins.mi-http]\nbind = "{tmp_path}/no/such/folder/socket"\ncommands = ["which"]\n'
        )
        with pytest.raises(ConfigError):
            events.reload(evframe.config.parse_config(narrow))
        assert policies.rules == rules
        assert [lease.interface for lease in events.subscriptions] == ["mi-http"]
        assert ask(management(events).of("mi-http"), "event_subscribe", ["E_A", "memory:other"])["result"] == "OK"
        narrow = f"{wide}[plugins]\n".replace("[plugins.mi-http]", '[plugins.mi-http]\ncommands = ["which"]')
        assert events.reload(evframe.config.parse_config(narrow)).reported == {"management": ["mi-http.commands"]}
        assert ask(management(events).of("mi-http"), "pwd")["error"]["code"] == 400
        assert http.address


async def test_a_checked_configuration_is_stopped_without_an_error(installed, caplog):
    """A composition that no interface has taken over, as `evframe check --connect` makes, stops in silence."""
    composition = compose(evframe.config.parse_config('[management]\nschemes = ["udp"]\n'))
    assert composition.problems == []
    await composition.stop(1.0)
    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == []


async def test_a_removed_policy_permits_nothing(installed):
    """A reload that disables the plugin ends the leases of clients, and its interfaces answer with refusals."""
    text = '[[events]]\nname = "E_A"\n[[subscriptions]]\nevent = "E_A"\nsocket = "memory:configured"\n'
    wide = f'{text}[management]\nschemes = ["memory"]\n'
    async with evframe.EventInterface(evframe.config.parse_config(wide)) as events:
        interface = management(events).of("mi-http")
        assert ask(interface, "event_subscribe", ["E_A", "memory:client"])["result"] == "OK"
        events.subscribe_event("E_A", "memory:own")
        events.reload(evframe.config.parse_config(f'{wide}[plugins]\ndisable = ["mi"]\n'))
        await until(lambda: len(events.subscriptions) == 2)
        assert [lease.interface for lease in events.subscriptions] == [None, None]
        with pytest.raises(evframe.SocketError, match="rules of the interface 'mi-http', got none"):
            events.restore_subscription("E_A", "memory:client", Terms(60, "mi-http"), 60)
        assert "error" in ask(interface, "event_subscribe", ["E_A", "memory:client"])
        events.reload(evframe.config.parse_config(wide))
        assert ask(management(events).of("mi-http"), "event_subscribe", ["E_A", "memory:client"])["result"] == "OK"
        assert ask(interface, "which")["error"]["code"] == 400, "an interface that was opened with the removed policy"


class RaisesOfLeases:
    """Raises an event about each lease that is made, before the plugin `mi` is added."""

    @evframe.hookimpl
    def loaded(self, context):
        self.context = context

    @evframe.hookimpl
    def lease_changed(self, lease, change):
        if change == "made":
            self.context.raise_event("E_A", [lease.subscriber.socket.canonical])


class ConnectsAtOnce(NetTransport):
    """Connects in the call of `deliver`, to the addresses that the resolver knows then."""

    reached = ()
    limits = evframe.plugin.Limits(at_once=True)

    @evframe.hookimpl
    def loaded(self, context):
        self.resolver = context.resolver

    @evframe.hookimpl
    def deliver(self, socket, batch):
        self.reached = [*self.reached, self.resolver.known(*socket.endpoints[0])]
        return True


async def test_names_are_limited_before_other_plugins_learn_of_a_lease():
    """An event that a plugin raises about a new lease reaches no address outside of the networks of its interface."""
    mi = Management(Options(ManagementOptions(networks=["10.0.0.0/8"])))
    net = ConnectsAtOnce()
    events = evframe.EventInterface(plugins={"early": RaisesOfLeases(), "net": net, "mi": mi})
    events.register_event("E_A")
    with FakeNames({"moves": ["127.0.0.1"]}) as names:
        events.resolver.lookup = names
        async with events:
            assert await addresses_of(events, "moves") == ["127.0.0.1"]
            assert ask(management(events), "event_subscribe", ["E_A", "udp:moves"])["result"] == "OK"
            await until(lambda: net.reached)
            assert net.reached == [None]


def test_targets_without_a_lease():
    """What a client has events sent to without a lease may be subscribed, and names no host where there are networks."""

    def check(target, **options):
        mi = Management(Options(ManagementOptions(**options)))
        evframe.EventInterface(plugins={"mi": mi, "memory": MemoryTransport()})
        return mi.check_target(target, "mi-http")

    cluster = Target("kafka:192.0.2.1:1/topic", endpoints=(("192.0.2.1", 1),), names_hosts=True)
    within = {"networks": ["192.0.2.0/24"]}
    for target in (at("192.0.2.1"), at("192.0.2.1", "tcp"), at("host.example"), combined(at("host.example")), cluster):
        assert check(target) is True
    assert check(at("192.0.2.1"), **within) is True
    refused = (
        at("198.51.100.1"),
        at("host.example"),
        combined(at("192.0.2.1"), at("host.example")),
        cluster,
        file("/tmp/x"),
    )
    for target in refused:
        with pytest.raises(ForbiddenError):
            check(target, **within)


@attrs.frozen
class OwnedSocket:
    """``owned:x``, which the clients of one interface alone subscribe."""

    canonical: str = "owned:x"
    owner: str = "streams"
    expires: bool = True
    endpoints: tuple = ()


def test_a_socket_that_an_interface_owns():
    """The policies of others refuse it, whatever schemes they permit."""
    general = ManagementOptions(schemes=["*"])
    Policy("streams", general).check_socket(OwnedSocket())
    with pytest.raises(ForbiddenError, match="expected the interface 'streams', whose clients alone subscribe"):
        Policy("mi-http", general).check_socket(OwnedSocket())
