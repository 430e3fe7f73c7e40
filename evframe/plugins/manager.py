"""The manager of plugins, which calls their hooks; the events that a plugin declares; and the status of its loading."""

from __future__ import annotations

import inspect
import logging
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from functools import partial
from itertools import filterfalse
from types import ModuleType
from typing import Any, Final

import attrs
import pluggy
from evframe_declarations import Declaration, EventType, ParameterTypes, declare, name_of
from evframe_options import FIELD
from evframe_wire.visible import visible

from evframe.calls import comes_from_outside, foreign_call
from evframe.config.hints import how_to_install, published
from evframe.config.policy import NONE as NO_POLICY
from evframe.config.policy import Policy
from evframe.delivery.limits import Limits
from evframe.delivery.statistics import StatisticGroup
from evframe.events.event import check_name
from evframe.exceptions import ConfigError, PluginError
from evframe.plugins.workers import WorkerGroup
from evframe.subscriptions.channel import Channel

log = logging.getLogger("evframe.plugins")
DISABLED: Final = "disabled in the configuration"
INVALID_OPTIONS: Final = "its options are not valid"
_DEFAULTS: Final = Limits()
_KNOWN: Final = ("has_queues", "kind", "library_logs", "limits", "opens_all_queues", "places", "policy_keys", "schemes")
_LIMITS: Final = tuple(field.name for field in attrs.fields(Limits))
_SIMILAR: Final = 0.85


def is_wrapper(implementation: pluggy.HookImpl) -> bool:
    """Return whether a hook implementation wraps those of other plugins."""
    return bool(implementation.wrapper or implementation.hookwrapper)


def limits_of(name: str, plugin: Any) -> Limits:
    """Return the limits of the transport of *plugin*, which is called *name*.

    Raises:
        PluginError: if its attribute `limits` is of another type.
    """
    limits = getattr(plugin, "limits", _DEFAULTS)
    if not isinstance(limits, Limits):
        raise PluginError(f"plugin {name!r}: expected limits to be an evframe.plugin.Limits, got {limits!r}")
    return limits


def check_attributes(name: str, plugin: Any) -> None:
    """Refuse a plugin with an attribute that belongs in its `limits`, or resembles an attribute that the core reads.

    Raises:
        PluginError: with the attribute that was probably meant, or the value that was expected.
    """
    limits_of(name, plugin)
    owner = plugin if inspect.ismodule(plugin) else type(plugin)
    for attribute in dir(owner):
        if attribute.startswith("_") or attribute in _KNOWN or callable(getattr(owner, attribute, None)):
            continue
        if attribute in _LIMITS:
            raise PluginError(f"plugin {name!r}: expected {attribute!r} in its limits, got it as an attribute")
        meant = get_close_matches(attribute, _KNOWN, n=1, cutoff=_SIMILAR)
        if meant and not hasattr(plugin, meant[0]):
            raise PluginError(f"plugin {name!r}: unknown attribute {attribute!r}, did you mean {meant[0]!r}")
    schemes = getattr(plugin, "schemes", ())
    if isinstance(schemes, str) or not all(isinstance(scheme, str) for scheme in schemes):
        raise PluginError(f"plugin {name!r}: schemes: expected a tuple of texts such as ('udp',), got {schemes!r}")


@contextmanager
def naming_hook(name: str, hook: str, options: Any = None) -> Iterator[None]:
    """Have the error of a plugin's *hook* name the plugin and the hook, or the path of the option.

    An OSError stays one, with its number. A ValueError is a ConfigError, with a line for each problem;
    a sentence that begins with the name of one of the *options* gets the option's path.
    """
    place = f"plugin {name!r}, hook {hook!r}"
    try:
        yield
    except OSError as error:
        raise _placed_os_error(error, name, place) from error
    except ConfigError as error:
        raise ConfigError([_placed(problem, name, place, options) for problem in error.problems]) from error
    except ValueError as error:
        raise ConfigError([_placed(str(error), name, place, options)]) from error
    except PluginError as error:
        text = str(error).removeprefix(f"{place}: ").removeprefix(f"plugin {name!r}, ")
        raise PluginError(f"{place}: {visible(text)}") from error
    except Exception as error:
        log.debug("a plugin raised an error", exc_info=True, extra={"plugin": name, "hook": hook})
        raise PluginError(f"{place}: {visible(f'{type(error).__name__}: {error}')}") from error


def _placed_os_error(error: OSError, name: str, place: str) -> OSError:
    text = error.strerror or str(error)
    text = text if text.startswith(f"plugins.{name}") else f"{place}: {visible(text)}"
    if error.errno is None:
        kind = type(error) if type(error).__module__ == "builtins" else OSError
        return kind(text)
    return OSError(error.errno, text, error.filename)


def _placed(text: str, name: str, place: str, options: Any) -> str:
    text = visible(text)
    if text.startswith(f"plugins.{name}"):
        return text
    option = FIELD.match(text)
    if option is not None and hasattr(options, re.split(r"[\[.:]", text, maxsplit=1)[0]):
        return f"plugins.{name}.{text}"
    return f"{place}: {text}"


@attrs.define
class PluginStatus:
    """Whether one installed plugin was loaded: *problem* is the reason why not, None when it was."""

    name: str
    version: str
    problem: str | None = None
    kind: str = ""
    schemes: tuple[str, ...] = ()
    events: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()


class EventCollector:
    """Handed to `register_events`: takes the events of one plugin."""

    def __init__(self) -> None:
        self.events: dict[str, Declaration | None] = {}
        self.references: dict[str, str] = {}
        """The events that options of the plugin name and other plugins declare, by the options."""
        self.patterns: dict[str, str] = {}
        """The patterns of event names in options of the plugin, by the options."""

    def add(
        self,
        name: str | type[EventType],
        params: ParameterTypes | None = None,
        *,
        summary: str = "",
        enforced: bool = True,
        is_meta: bool = False,
    ) -> None:
        """Declare an event.

        Args:
            name: 1 to 64 bytes; or a class that declares the event, without the other arguments.
            params: its parameters in order, each a type or a `Parameter`; without it, anything can be raised.
            summary: when it is raised, in a sentence.
            enforced: whether a raise that does not fit is refused.
            is_meta: whether deliveries of the event never trigger `delivery_changed`, so that it cannot cause itself.
        """
        check_name(name_of(name))
        self.events[name_of(name)] = declare(name, params, summary=summary, enforced=enforced, is_meta=is_meta)

    def refer(self, name: str, option: str) -> None:
        """Register an event that *option* names and that others declare; a misspelt name is a hint.

        Args:
            name: 1 to 64 bytes.
            option: its path in the plugin's table, such as ``routes.E_PIKE_BLOCKED``.
        """
        check_name(name)
        self.events.setdefault(name, None)
        self.references[option] = name

    def refer_pattern(self, pattern: str, option: str) -> None:
        """Compare the *pattern* in *option* with the declared events; one that resembles an event is a hint.

        Args:
            pattern: of the names of events, such as ``E_PIKE_*``.
            option: its path in the plugin's table, such as ``raise_events[0]``.
        """
        self.patterns[option] = pattern


class PluginManager(pluggy.PluginManager):
    """A manager with the hooks of a module, which calls back after a plugin was registered or unregistered."""

    def __init__(self, specs: ModuleType) -> None:
        self.on_change: Callable[[], None] = lambda: None
        super().__init__("evframe")
        self.add_hookspecs(specs)

    def register(self, plugin: Any, name: str | None = None) -> str | None:
        """Add a plugin; a hook that is no hook of evframe, or a coroutine function, is an error."""
        for hook in vars(self.hook):
            if inspect.iscoroutinefunction(getattr(plugin, hook, None)):
                raise TypeError(f"hook {hook!r}: expected a plain function, got a coroutine function")
        with self.one_change():
            return super().register(plugin, name)

    def parse_hookimpl_opts(self, plugin: Any, name: str) -> Any:
        """Return the options of a hook; what every object has is none, and is half of what a plugin has."""
        return None if hasattr(object, name) else super().parse_hookimpl_opts(plugin, name)

    def unregister(self, plugin: Any | None = None, name: str | None = None) -> Any | None:
        """Take a plugin out."""
        with self.one_change():
            return super().unregister(plugin, name)

    @contextmanager
    def one_change(self) -> Iterator[None]:
        """Call back after the block alone, however many plugins it registers and unregisters."""
        on_change, self.on_change = self.on_change, lambda: None
        try:
            yield
        finally:
            self.on_change = on_change
            on_change()

    def statistics(self) -> list[StatisticGroup]:
        """Return the counts of all plugins, in the order of their loading."""
        return [group for groups in reversed(self.collect("statistics")) for group in groups]

    def worker_groups(self) -> list[WorkerGroup]:
        """Return the groups of workers of all plugins."""
        return [group for groups in self.collect("worker_groups") for group in groups]

    def own_hook(self, hook: str, plugin: Any) -> Callable[..., Any] | None:
        """Return *hook* of one plugin without wrappers, which still works after the plugin was removed.

        None for a plugin without the hook.
        """
        for implementation in getattr(self.hook, hook).get_hookimpls():
            if implementation.plugin is plugin and not is_wrapper(implementation):
                return partial(_call, implementation)
        return None

    def hook_of(self, hook: str, plugin: Any) -> tuple[pluggy.HookCaller, bool]:
        """Return *hook* of one plugin with the wrappers of other plugins, and whether it has no wrapper."""
        found = getattr(self.hook, hook).get_hookimpls()
        others = {each.plugin for each in found if each.plugin is not plugin and not is_wrapper(each)}
        caller = self.subset_hook_caller(hook, others)
        return caller, [is_wrapper(each) for each in caller.get_hookimpls()] == [False]

    def wrapped_hook(self, hook: str, plugin: Any) -> Callable[..., Any]:
        """Return a function that calls *hook* of one plugin, with the wrappers of others, and returns one result.

        Without wrappers, the plugin's function is called, because pluggy keeps an error in a cycle with its traceback.
        """
        caller, is_alone = self.hook_of(hook, plugin)
        if is_alone:
            return partial(_call, caller.get_hookimpls()[0])
        if caller.spec is not None and caller.spec.opts["firstresult"]:
            return caller
        return lambda **arguments: next(iter(caller(**arguments)), None)

    def call(self, hook: str, plugin: Any, **arguments: Any) -> Any:
        """Return the result of *hook* of one plugin, with the wrappers that others put round it.

        Raises:
            PluginError: if the hook raised an error that is no `Exception`, such as SystemExit.
        """
        with foreign_call(f"plugin {self.get_name(plugin)!r}, hook {hook!r}"):
            return self.wrapped_hook(hook, plugin)(**arguments)

    def check_policy(self, policy: Policy, event: Channel | None) -> None:
        """Raise ValueError, which begins with a key, if a plugin cannot follow *policy*, or none follows the key.

        Raises:
            PluginError: for any other error of a plugin.
        """
        followed = {key for _, plugin in self.list_name_plugin() for key in getattr(plugin, "policy_keys", ())}
        for key, value in policy.keys.items():
            rule = "dead_letter" if value == "dead_letter" else key  # as the value of `when_full`
            if rule not in followed:
                owner = published().policy_keys.get(rule)
                hint = f", {how_to_install(owner)}" if owner else ""
                what = "it" if rule == key else repr(rule)
                raise ValueError(f"{key}: expected a loaded plugin that follows {what}{hint}")
        if policy is not NO_POLICY:
            try:
                self.decide("check_policy", policy=policy, event=event)
            except (PluginError, ValueError):
                raise
            except Exception as error:
                raise PluginError(f"hook 'check_policy': {type(error).__name__}: {error}") from error

    def notify(self, hook: str, **arguments: Any) -> None:
        """Call every implementation of *hook*, in the order of loading; errors are logged, as in `collect`."""
        self._call_each(hook, getattr(self.hook, hook).get_hookimpls(), arguments)

    def decide(self, hook: str, **arguments: Any) -> Any:
        """Return the result of *hook*; unlike in `collect`, an error of an implementation is raised.

        Raises:
            PluginError: if an implementation raised an error that is no `Exception`, such as SystemExit.
        """
        with foreign_call(f"hook {hook!r}"):
            return getattr(self.hook, hook)(**arguments)

    def collect(self, hook: str, **arguments: Any) -> list[Any]:
        """Return the results of all implementations of *hook* but None; the error of an implementation is logged.

        The plugin that was added last is called first; with ``firstresult``, none is called behind the first result.
        Wrappers are round each, as in `call`.
        """
        return self._call_each(hook, getattr(self.hook, hook).get_hookimpls()[::-1], arguments)

    def _call_each(self, hook: str, implementations: list[pluggy.HookImpl], arguments: dict[str, Any]) -> list[Any]:
        """Call *implementations* in their order, but those with ``tryfirst`` first and with ``trylast`` last."""
        results, ends_at_first = [], getattr(self.hook, hook).spec.opts["firstresult"]
        is_wrapped = any(map(is_wrapper, implementations))
        plain = filterfalse(is_wrapper, implementations)
        for implementation in sorted(plain, key=lambda each: each.trylast - each.tryfirst):
            try:
                if is_wrapped:
                    results.append(self.wrapped_hook(hook, implementation.plugin)(**arguments))
                else:
                    results.append(_call(implementation, **arguments))
                if ends_at_first and results[-1] is not None:
                    break
            except BaseException as error:
                if comes_from_outside(error):
                    raise
                log.exception("a plugin raised an error", extra={"plugin": implementation.plugin_name, "hook": hook})
        return [result for result in results if result is not None]


def _call(implementation: pluggy.HookImpl, **arguments: Any) -> Any:
    return implementation.function(*(arguments[name] for name in implementation.argnames))
