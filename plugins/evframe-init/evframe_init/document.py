"""The text of the configuration: each table with its options, their descriptions and their defaults."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, get_args

import attrs
from evframe_options.describing import FROM_OTHERS, Option, options_of, sentence, tables_of
from evframe_options.installed import Installed, installed

import evframe

_WIDTH: Final = 118
_HEAD: Final = """\
# The configuration of an evframe gateway, with every option of the plugins that are installed.
#
# A line such as "#queue_size = 262144" is an option with its default; remove the "#" to change it, and the "#" before
# the header of its table. An option without a value has no default. "evframe check" finds every problem.

# Further files, relative to the folder of this one.
#include = ["conf.d/*.toml"]
"""
_RUNNING: Final = "plugins.mi-http"
_EXAMPLES: Final[Mapping[str, Mapping[str, Any]]] = {
    "events": {"name": "E_EXAMPLE"},
    "subscriptions": {"event": "E_EXAMPLE", "socket": "udp:127.0.0.1:9000"},
}
"""What is no comment, with a management interface: a gateway that works."""


def commented_configuration(plugins: Sequence[Installed] | None = None) -> str:
    """Return a configuration in which the options are comments, but for those of a gateway that works.

    Args:
        plugins: those that have options in it; None for all that are installed.
    """
    return "\n".join(_Document([*installed()] if plugins is None else plugins).lines()) + "\n"


class _Document:
    def __init__(self, plugins: Sequence[Installed]) -> None:
        self._plugins = plugins
        self._of_core = {option.name: option for option in options_of(evframe.Config)}
        self._places = {place: plugin for plugin in plugins for place in plugin.places}
        self._schemes = frozenset[str]().union(*(plugin.schemes for plugin in plugins))

    def lines(self) -> Iterator[str]:
        yield from _HEAD.splitlines()
        core = self._table("core")
        placed = [self._placed(place) for place in self._places if place.startswith("core.")]
        yield from _section("core", core, [*options_of(core), *placed], is_open=True)
        yield from self._management()
        for name in ("events", "subscriptions", "policies"):
            yield from self._array(name)
        for place in self._places:
            if "." not in place and self._placed(place).table is None:
                yield from _section(place, None, [], about=self._placed(place).meaning)
        meaning = "Installed plugins that are not loaded."
        yield from _section("plugins", None, [Option("disable", list[str], meaning, [])])
        for plugin in self._plugins:
            yield from self._plugin(plugin)

    def _table(self, name: str) -> type:
        table = tables_of(self._of_core[name].type)
        assert table is not None
        return table

    def _placed(self, place: str) -> Option:
        """Return the option that may stand at *place*, with the last part of that as its name."""
        return self._places[place].placed(place)

    def _management(self) -> Iterator[str]:
        for place in self._places:
            table = self._placed(place).table if "." not in place else None
            if table is not None:
                yield from _section(place, table, options_of(table))

    def _array(self, name: str) -> Iterator[str]:
        """Yield the section of an array of tables, with an example that is no comment where there is one."""
        table = self._table(name)
        followed = frozenset[str]().union(*(plugin.policy_keys for plugin in self._plugins))
        options = options_of(table)
        if name == "policies":
            options += [each for each in options_of(table, inherited=True) if each.name in followed]
        example = _EXAMPLES.get(name, {})
        if "socket" in example and example["socket"].partition(":")[0] not in self._schemes:
            example = {}
        about = sentence(table)
        if name == "subscriptions" and followed:
            about += " The keys of [[policies]] may stand here, too."
        yield from _section(name, table, options, is_array=True, given=example, about=about)

    def _plugin(self, plugin: Installed) -> Iterator[str]:
        if plugin.problem:
            yield from ("", *_comment(f"The plugin {plugin.name} cannot be loaded: {plugin.problem}"))
        if plugin.options is None:
            return
        elsewhere = {key for place, key in plugin.places.items()}
        options = [each for each in options_of(plugin.options) if each.name not in elsewhere]
        about = f"evframe-{plugin.name} {plugin.version}: {sentence(plugin.options)}"
        inherited = {each.name for each in options_of(plugin.options, inherited=True)} - {each.name for each in options}
        if inherited - elsewhere:
            about += f" Further keys narrow [management]: {', '.join(sorted(inherited - elsewhere))}."
        if options or inherited - elsewhere:
            name = f"plugins.{plugin.name}"
            yield from _section(name, plugin.options, options, about=about, is_open=name == _RUNNING)


def _section(  # noqa: PLR0913 what a table may have
    name: str,
    table: type | None,
    options: Iterable[Option],
    *,
    about: str | None = None,
    is_array: bool = False,
    is_open: bool = False,
    given: Mapping[str, Any] | None = None,
) -> Iterator[str]:
    """Yield the lines of a table: its header, its options, and then the tables within it.

    Args:
        name: its path.
        table: its attrs class, which describes it.
        options: of the table.
        about: describes it instead.
        is_array: whether it is one of an array.
        is_open: whether its header is no comment.
        given: the values that are no comments.
    """
    given = given or {}
    mark = "" if is_open or given else "#"
    yield ""
    yield from _comment(sentence(table) if about is None and table is not None else about or "")
    yield f"{mark}[[{name}]]" if is_array else f"{mark}[{name}]"
    inner = []
    for option in options:
        if _inner(option) is None:
            yield from _option(option, given)
        else:
            inner.append(option)
    for option in inner:
        within = _inner(option)
        assert within is not None
        path = f"{name}.{option.name}"
        about = f"{option.meaning} {sentence(within)}"
        yield from _section(path, within, options_of(within), about=about, is_array=_is_array(option))


def _inner(option: Option) -> type | None:
    """Return the attrs class of an option that is a table or an array of tables, or none of them."""
    parts = [option.type, *get_args(option.type)]
    return next((table for table in map(tables_of, parts) if table is not None), None)


def _is_array(option: Option) -> bool:
    return option.table is None or option.is_array


def _option(option: Option, given: Mapping[str, Any]) -> Iterator[str]:
    yield from _comment(option.meaning)
    kind = option.kind.removesuffix(" | None")
    default = option.default
    if option.name in given:
        yield f"{option.name} = {_value(given[option.name])}  # {kind}"
    elif default is attrs.NOTHING or default is None or default is FROM_OTHERS:
        why = {attrs.NOTHING: ", required", None: "", FROM_OTHERS: ", follows from other options"}[default]
        yield f"#{option.name} =  # {kind}{why}"
    else:
        yield f"#{option.name} = {_value(default)}  # {kind}"


def _value(value: Any) -> str:
    """Return a value as it stands in TOML."""
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, Mapping):
        return f"{{ {', '.join(f'{json.dumps(key)} = {_value(each)}' for key, each in value.items())} }}"
    return repr(value) if type(value) is float else json.dumps(value, ensure_ascii=False)


def _comment(text: str) -> list[str]:
    """Return *text* as lines of comments."""
    wrapped = textwrap.wrap(text.replace("``", "`"), _WIDTH, break_long_words=False, break_on_hyphens=False)
    return [f"# {line}" for line in wrapped]
