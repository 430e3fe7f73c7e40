"""The parser of AsyncAPI, from npm: it has no error for the events of all plugins and of the catalogue."""

import json
import subprocess

import pytest
from click.testing import CliRunner

from evframe.cli import main

SCRIPT = """
import { Parser } from '@asyncapi/parser';
import { readFileSync } from 'fs';
const found = [];
for (const file of process.argv.slice(2)) {
  const { document, diagnostics } = await new Parser().parse(readFileSync(file, 'utf8'));
  found.push([document !== undefined, diagnostics.filter(each => each.code !== 'asyncapi-latest-version')]);
}
console.log(JSON.stringify(found));
"""
CONFIG = """
[plugins.opensips]
events = ["*"]
instance_param = ""

[plugins.mi-http]
token = "s3cret"

[[subscriptions]]
event = "E_PIKE_BLOCKED"
socket = "rabbitmq:guest:s3cret@broker:5673/exchange=ex;vhost=v?key"

[[subscriptions]]
event = "E_A"
socket = "kafka:b1:9092,b2:9092/topic"

[[subscriptions]]
event = "E_B/~ x"
socket = "xmlrpc:192.0.2.4:80/path:method"

[[subscriptions]]
event = "E_B/~ x"
socket = "virtual:FAILOVER udp:10.0.0.1:99 tcp:10.0.0.2:100"
"""


@pytest.mark.timeout(600)
def test_the_parser_has_no_error(tmp_path):
    """Neither for the installed plugins nor for a configuration, in both versions."""
    subprocess.run(["npm", "install", "--silent", "@asyncapi/parser@3"], cwd=tmp_path, check=True)
    (tmp_path / "check.mjs").write_text(SCRIPT)
    (tmp_path / "evframe.toml").write_text(CONFIG)
    names = []
    for spec in ("3.0", "3.1"):
        for words in ([], ["-c", str(tmp_path / "evframe.toml")]):
            names.append(f"{len(names)}.json")
            done = CliRunner().invoke(main, ["schema", "asyncapi", "--spec", spec, *words])
            (tmp_path / names[-1]).write_text(done.output)
    printed = subprocess.run(["node", "check.mjs", *names], cwd=tmp_path, check=True, capture_output=True).stdout

    assert json.loads(printed) == [[True, []]] * 4
