"""Write the reference pages and the data that come from the code: `python docs/generate.py [--check]`.

With `--check` nothing is written; the exit code is 1 when a page is not what it would be.
"""

from __future__ import annotations

import html
import inspect
import json
import re
import sys
import tomllib
from collections.abc import Iterator, Mapping
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, get_origin

import attrs
import click
from evframe_import_opensips.modules import MODULES, PARAMETERS
from evframe_metrics.alerts import rules_file
from evframe_metrics.dashboard import dashboard_file
from evframe_metrics.page import page as metrics_page
from evframe_mi import ManagementOptions, NarrowingOptions
from evframe_options.describing import field_texts, kind_text, options_of, sentence, tables_of
from evframe_schema import Gateway, asyncapi_document, configuration_schema, event_schema, events_schema

import evframe
from evframe.cli import main as command_line
from evframe.cli.group import GROUP as CLI
from evframe.cli.group import contribute
from evframe.command_line import CommandLine
from evframe.config import (
    CoreOptions,
    EventOptions,
    ParameterOptions,
    Policy,
    PolicyOptions,
    SubscriptionOptions,
    parse_config,
)
from evframe.delivery.limits import Limits
from evframe.plugin import PluginContext
from evframe.plugins import hookspecs
from evframe.plugins.hookspecs import NAMES as HOOKS

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "docs" / "reference"
EXAMPLES = ROOT / "examples" / "prometheus"
NOTE = "<!-- Written by docs/generate.py; edit the code instead. -->\n\n"
CONTEXT = "what the hooks `loaded` and `start` get, as `context`."


def default_text(field: attrs.Attribute[Any]) -> str:
    """Return a field's default as it would stand in TOML."""
    default = field.default
    if default is attrs.NOTHING:
        return "required"
    if isinstance(default, attrs.Factory):  # type: ignore[arg-type]
        if default.takes_self:
            return "from other options"
        default = default.factory()
        if not isinstance(default, list) or not default:
            return "empty"
    if default is None:
        return "none"
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    return f"`{default!r}`".replace("'", '"')


def option_fields(options: type) -> list[attrs.Attribute[Any]]:
    """Return the fields of an options class that can be set, without those of a base that is described apart."""
    names = {each.name for each in options_of(options)}
    return [field for field in attrs.fields(options) if field.name in names]


def options_table(options: type) -> str:
    """Return the table of an options class."""
    attrs.resolve_types(options)
    texts = {each.name: each.meaning for each in options_of(options)}
    rows = ["| option | type | default | meaning |", "|---|---|---|---|"]
    for field in option_fields(options):
        meaning = texts[field.name].replace("``", "`")
        kind = kind_text(field.type).replace(
            " | ", " or "
        )  # a bar ends the cell, and sites show an escaped one as such
        rows.append(f"| `{field.name}` | `{kind}` | {default_text(field)} | {meaning} |")
    return "\n".join(rows) + "\n"


def inner_tables(options: type) -> str:
    """Return the tables of the fields that are tables themselves."""
    parts = []
    for field in option_fields(options):
        inner = tables_of(field.type)
        if inner is not None and inner is not ManagementOptions:  # which has a section
            head = "Each entry of" if get_origin(field.type) is list else "The table"
            parts.append(f"\n{head} `{field.name}`: {sentence(inner)[0].lower()}{sentence(inner)[1:]}\n\n")
            parts.append(options_table(inner))
    return "".join(parts)


def doc(thing: object) -> str:
    """Return a docstring without its indentation, with names between single marks as code."""
    return inspect.getdoc(thing) or ""


FILES_AND_SETTINGS = """
## Files and settings

`evframe run` and `evframe check` read the file that `-c` names, else the one in `EVFRAME_CONFIG`, else `/etc/evframe/evframe.toml`.
The key `include`, at the top of that file, names further ones:

```toml
include = ["conf.d/*.toml"]
```

- Names and patterns are relative to the folder of the file; `*`, `?` and `[…]` are wildcards, and `*` leaves out names that begin with a dot.
- The files of a pattern are read in the order of their names, and each file once.
- A pattern without a match is no problem; a name without wildcards is one if the file is missing, and so is a folder that cannot be read.
- Tables of several files are joined. Arrays of tables, such as `[[subscriptions]]` and `[[policies]]`, follow each other: first those of the main file, then those of the others in their order.
- Any other key that two files have is a problem, which names both places, even if the values are equal.
- An included file includes no others, so that there are no loops.
- A problem names the file and the line of its key. A reload reads all files again, with those that are new.

`--set KEY=VALUE` replaces one option, whatever the files say, and holds after each reload too:

```sh
evframe run --set core.queue_size=1000 --set 'routes."E_A"=app.routes:on_a'
```

The key is a key of TOML, with quotes where a part has a dot or a space in it.
The value is one of TOML, such as `true`, `5` or `["a", "b"]`, and text if it is none: `--set core.overflow=drop_oldest`; a text that looks like a number has quotes, `--set 'name="5"'`.
An array is replaced as a whole. Of two settings with one key, the last one counts. Other users of the host see the command line: [Keep secrets out](../how-to/keep-secrets-out.md) of it.
"""


def configuration() -> str:
    """Return the page of the configuration."""
    parts = [
        NOTE,
        (
            "# Configuration\n\nOne TOML file. Unknown keys and values of a wrong type are errors, never coerced.\n"
            "A number is finite and within 64 bits; an option whose name ends in `_s` or `_ms` takes at most 2147483647"
            " of them, which are 68 years and 24 days.\n"
            "An editor completes and checks the file by its [JSON Schema](plugins/schema.md#the-configuration),"
            " which `evframe schema config` prints.\n"
        ),
        FILES_AND_SETTINGS,
    ]
    parts.append(f"\n## `[core]`\n\n{options_table(CoreOptions)}")
    parts.append(f"\n## `[management]`\n\n{sentence(ManagementOptions)}\n\n{options_table(ManagementOptions)}")
    parts.append(
        "\nThe package `evframe-mi` has this table; without the package it is an error."
        " The same keys in the table of a management plugin narrow that interface;"
        " see [Limit what clients may do](../how-to/limit-clients.md).\n"
    )
    parts.append(f"\n## `[[events]]`\n\n{sentence(EventOptions)}\n\n{options_table(EventOptions)}")
    parts.append(f"\nEach entry of `params`:\n\n{options_table(ParameterOptions)}")
    parts.append(f"\n## `[[subscriptions]]`\n\n{sentence(SubscriptionOptions)}\n\n{options_table(SubscriptionOptions)}")
    parts.append("\nThe keys of `[[policies]]` may stand here, too, and hold instead of those.\n")
    parts.append("\nA socket may have references to secrets; see [Keep secrets out](../how-to/keep-secrets-out.md).\n")
    parts.append(f"\n## `[[policies]]`\n\n{sentence(PolicyOptions)}\n\n{options_table(PolicyOptions)}")
    parts.append("\nIt may set these; a key that no loaded plugin follows is an error that names the package.\n\n")
    parts.append(options_table(Policy))
    parts.append(
        "\n## Options of plugins at other places\n\nThese may stand there instead of in the plugin's table;"
        " without the plugin's package they are an error.\n\n| place | option |\n|---|---|\n"
    )
    for place, (name, option) in sorted(places(dict(installed())).items()):
        parts.append(f"| `{place}` | `{option}` of [`[plugins.{name}]`](#plugins{name}) |\n")
    parts.append(
        "\n## `[plugins]`\n\n| option | type | default | meaning |\n|---|---|---|---|\n"
        "| `disable` | `list[str]` | empty | Installed plugins that are not loaded. |\n"
    )
    for name, plugin in installed():
        options = getattr(type(plugin), "Options", None)
        if options is not None:
            parts.append(f"\n## `[plugins.{name}]`\n\n{sentence(options)}\n\n{options_table(options)}")
            if issubclass(options, NarrowingOptions):
                keys = ", ".join(f"`{field.name}`" for field in option_fields(NarrowingOptions))
                parts.append(f"\nFurther keys narrow [`[management]`](#management): {keys}.\n")
            parts.append(inner_tables(options))
    return "".join(parts)


def installed() -> Iterator[tuple[str, Any]]:
    """Yield the name and the object of every installed plugin."""
    interface = evframe.EventInterface()
    for status in interface.plugin_status:
        if status.problem is not None:
            raise SystemExit(f"plugin {status.name!r}: {status.problem}")
        yield status.name, interface.plugin(status.name)


def hooks() -> str:
    """Return the page of the hooks."""
    parts = [NOTE, f"# Hooks\n\n{doc(hookspecs)}\n"]
    for name in HOOKS:
        hook = getattr(hookspecs, name)
        signature = str(inspect.signature(hook)).replace("'", "")
        text = re.sub(r"\n {8,}", " ", doc(hook)).replace("\nArgs:\n", "\nArguments:\n\n")
        lines = [
            f"- `{line.strip().replace(': ', '`: ', 1)}" if line.startswith("    ") else line
            for line in text.splitlines()
        ]
        parts.append(f"\n## `{name}`\n\n```text\n{name}{signature}\n```\n\n" + "\n".join(lines) + "\n")
    parts.append(f"\n## Limits\n\n`evframe.plugin.Limits`: {sentence(Limits)[0].lower()}{sentence(Limits)[1:]}\n\n")
    parts.append(options_table(Limits))
    parts.append(f"\n## PluginContext\n\n`evframe.plugin.PluginContext`: {CONTEXT}\n\n{context_table()}")
    return "".join(parts)


def context_table() -> str:
    """Return the table of what a plugin gets as `context`: the parts first, then the methods."""
    parts = {name: text for name, text in field_texts(PluginContext).items() if text}
    methods = inspect.getmembers(PluginContext, inspect.isfunction)
    calls = {
        f"{name}({', '.join(inspect.signature(method).parameters)})": sentence(method)
        for name, method in methods
        if not name.startswith("_")
    }
    calls = {call.replace("(self, ", "("): text for call, text in calls.items()}
    rows = [f"| `context.{name}` | {text.replace('``', '`')} |" for name, text in (parts | calls).items()]
    return "\n".join(["| part or method | what it is |", "|---|---|", *rows]) + "\n"


def commands() -> str:
    """Return the page of the management commands."""
    interface = evframe.EventInterface()
    rows = ["| command | other name | parameters | what it does |", "|---|---|---|---|"]
    for command in interface.commands:
        lists = (*command.recipes, *command.named)
        recipes = "; ".join(", ".join(f"`{name}`" for name in recipe) or "none" for recipe in lists)
        if command.optional:
            recipes += f"; by name also {', '.join(f'`{name}`' for name in command.optional)}"
        aliases = ", ".join(f"`{alias}`" for alias in command.aliases)
        rows.append(f"| `{command.name}` | {aliases} | {recipes} | {command.help} |")
    return (
        f"{NOTE}# Management commands\n\nThe part of a name after the colon is enough where no other command has it.\n\n"
        + "\n".join(rows)
        + "\n"
    )


EVERY_BRIDGED_EVENT = '[plugins.opensips]\nevents = ["*"]\ninstance_param = ""\n'


LINE = 110
EVENTS_SCHEMA = (
    "The schema of each is that of its [notification](wire-format.md), and of its message in AsyncAPI."
    " [`evframe schema events`](plugins/schema.md#the-events) prints it: `evframe schema events E_PIKE_BLOCKED` that of one"
    " event; [`evframe schema asyncapi`](plugins/schema.md#the-gateway-as-asyncapi) prints the document with the channels,"
    " servers and operations of a gateway.\n"
)


def events() -> str:
    """Return the page of the events that plugins declare, and those that the bridge can."""
    parts = [NOTE, "# Events\n\nThe events that the plugins of this repository declare, by plugin.\n", EVENTS_SCHEMA]
    interface = evframe.EventInterface()
    for status in interface.plugin_status:
        if status.events:
            parts.append(f"\n## {status.name}\n")
            parts += [event_section(interface.event(name)) for name in status.events]
    others = {name for status in interface.plugin_status for name in status.events}
    parts.append(
        "\n## opensips\n\nThe bridge declares those that are chosen, and the ones above that OpenSIPS has too.\n"
    )
    bridged = evframe.EventInterface(parse_config(EVERY_BRIDGED_EVENT))
    for status in bridged.plugin_status:
        if status.name == "opensips":
            parts += [event_section(bridged.event(name)) for name in status.events if name not in others]
    return "".join(parts)


def event_section(event: evframe.EventDefinition) -> str:
    """Return what is declared of one event."""
    text = f"\n### `{event.name}`\n"
    if event.declaration is not None and event.declaration.summary:
        text += f"\n{event.declaration.summary}\n"
    if event.params:
        rows = [
            f"| `{name}` | {parameter.type.__name__} | {'not always there; ' * parameter.optional}{parameter.summary} |"
            for name, parameter in event.params.items()
        ]
        text += "\n" + "\n".join(["| parameter | type | meaning |", "|---|---|---|", *rows]) + "\n"
    return text + schema_of(event)


def schema_of(event: evframe.EventDefinition) -> str:
    """Return the schema of an event's notification, folded; the payload of its message in AsyncAPI is the same."""
    schema = html.escape(laid_out(event_schema(event)), quote=False)
    return (
        f'\n<details>\n<summary>JSON Schema</summary>\n<pre><code class="language-json">{schema}\n</code></pre>\n'
        "</details>\n"
    )


def laid_out(value: object, indent: str = "") -> str:
    """Return a value as JSON, with a line for each member or item of what does not fit on one."""
    line = json.dumps(value, ensure_ascii=False)
    if not isinstance(value, dict | list) or len(indent) + len(line) <= LINE:
        return line
    within = f"{indent}  "
    if isinstance(value, dict):
        parts = [f"{within}{json.dumps(name)}: {laid_out(member, within)}" for name, member in value.items()]
        return "{\n" + ",\n".join(parts) + f"\n{indent}}}"
    parts = [f"{within}{laid_out(item, within)}" for item in value]
    return "[\n" + ",\n".join(parts) + f"\n{indent}]"


def opensips_parameters() -> str:
    """Return the page of the module parameters of OpenSIPS."""
    parts = [NOTE, "# Module parameters of OpenSIPS\n"]
    parts.append(
        "\nThe modules `event_*`, `mi_*` and `httpd`, those that raise events, and what takes the place of each.\n"
        "A parameter that is not here is named by the command as one that is not known.\n"
    )
    parts.append("The options are on [the page of the configuration](configuration.md).\n")
    for name, module in MODULES.items():
        place = f"Package `evframe-{module.plugin}`, table `[plugins.{module.plugin}]`" if module.plugin else ""
        text = "; ".join(part for part in (place, module.note) if part)
        parts.append(f"\n## `{name}`\n\n{text[0].upper()}{text[1:]}.\n")
        rows = [
            f"| `{each.name}` | {f'`{each.option}`' if each.option else ''} | {each.note} |"
            for each in PARAMETERS
            if each.module == name
        ]
        if rows:
            parts.append("\n" + "\n".join(["| parameter | option | remark |", "|---|---|---|", *rows]) + "\n")
    return "".join(parts)


def cli() -> str:
    """Return the page of the command line."""
    parts = [NOTE, "# Command line\n"]
    group = command_line.make_context("evframe", [], resilient_parsing=True)
    for name in command_line.list_commands(group):
        command = command_line.get_command(group, name)
        assert command is not None
        parts += helps(f"evframe {name}", command)
    return "".join(parts)


def helps(name: str, command: click.Command) -> Iterator[str]:
    """Yield the sections of a command and of its subcommands."""
    context = command.make_context(name, [], resilient_parsing=True)
    yield f"\n## `{name}`\n\n```text\n{command.get_help(context)}\n```\n"
    if isinstance(command, click.Group):
        for each in command.list_commands(context):
            subcommand = command.get_command(context, each)
            assert subcommand is not None
            yield from helps(f"{name} {each}", subcommand)


def places(plugins: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return the places outside of their plugins' tables at which options stand, with the plugin and the option."""
    return {
        place: [name, option]
        for name, plugin in plugins.items()
        for place, option in getattr(plugin, "places", {}).items()
    }


def published() -> str:
    """Return what the distributions of the checkout add, by which the core names the package to install."""
    projects = [tomllib.loads(path.read_text())["project"] for path in sorted(ROOT.glob("plugins/*/pyproject.toml"))]
    entries = [(project["name"].removeprefix("evframe-"), project.get("entry-points", {})) for project in projects]
    loaded = dict(installed())
    own = {name: loaded[name] for name, points in entries if "evframe" in points}
    schemes = {scheme: name for name, plugin in own.items() for scheme in getattr(plugin, "schemes", ())}
    commands = {}
    for entry in entry_points(group=CLI):
        line = CommandLine(set())
        contribute(entry, line)
        commands |= dict.fromkeys(line.commands, entry.name)
    keys = {key: name for name, plugin in own.items() for key in getattr(plugin, "policy_keys", ())}
    found = {
        "commands": commands,
        "places": places(own),
        "plugins": sorted(own),
        "policy_keys": keys,
        "schemes": schemes,
    }
    return json.dumps(found, indent=2, sort_keys=True) + "\n"


def metrics() -> str:
    """Return the page of the metrics."""
    return f"{NOTE}{metrics_page()}"


def configuration_file() -> str:
    """Return the JSON Schema of the configuration, which the package `evframe-schema` has."""
    return json.dumps(configuration_schema(), indent=1, ensure_ascii=False) + "\n"


def events_file() -> str:
    """Return the JSON Schema of all events, which the package `evframe-schema` has."""
    return json.dumps(events_schema(all_events()), indent=1, ensure_ascii=False) + "\n"


def all_events() -> list[evframe.EventDefinition]:
    """Return the events that plugins declare, and those of the bridge that no other plugin does."""
    interfaces = (evframe.EventInterface(parse_config(EVERY_BRIDGED_EVENT)), evframe.EventInterface())
    return sorted(
        {event.name: event for each in interfaces for event in each.events}.values(), key=lambda event: event.name
    )


def asyncapi_file() -> str:
    """Return the AsyncAPI document of all events and commands, which the package `evframe-schema` has."""
    gateway = attrs.evolve(Gateway.of(evframe.EventInterface()), events=all_events())
    return json.dumps(asyncapi_document(gateway), indent=1, ensure_ascii=False) + "\n"


SCHEMAS = Path(inspect.getfile(configuration_schema)).parent
FILES = {
    FOLDER / "metrics.md": metrics,
    EXAMPLES / "alerts.yml": rules_file,
    EXAMPLES / "dashboard.json": dashboard_file,
    FOLDER / "configuration.md": configuration,
    FOLDER / "hooks.md": hooks,
    FOLDER / "management-commands.md": commands,
    FOLDER / "events.md": events,
    FOLDER / "opensips-parameters.md": opensips_parameters,
    FOLDER / "command-line.md": cli,
    SCHEMAS / "evframe.schema.json": configuration_file,
    SCHEMAS / "events.schema.json": events_file,
    SCHEMAS / "asyncapi.json": asyncapi_file,
    Path(evframe.__file__).parent / "published.json": published,  # the installed one, where that is from a wheel
}


def main() -> int:
    """Write the pages, or check them."""
    stale = 0
    for path, make in FILES.items():
        text = make()
        if path.exists() and path.read_text() == text:
            continue
        if "--check" in sys.argv[1:]:
            print(f"{path.name} is not what the code says: run python docs/generate.py", file=sys.stderr)
            stale = 1
        else:
            path.write_text(text)
    return stale


if __name__ == "__main__":
    sys.exit(main())
