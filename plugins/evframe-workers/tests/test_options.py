"""How many workers there may be, on the command line and in the configuration."""

import pytest
from click.testing import CliRunner
from evframe_workers import Options

from evframe.cli.commands import main


@pytest.mark.parametrize("count", ["0", "-1", "65", "10000"])
def test_a_number_of_workers_that_no_machine_needs(count, tmp_path):
    """The command line and the option refuse it, and name what they accept; nothing is started."""
    path = tmp_path / "evframe.toml"
    path.write_text("")
    result = CliRunner().invoke(main, ["run", "-c", str(path), "--workers", count])
    assert result.exit_code == 2
    assert f"'--workers': {count} is not in the range 1<=x<=64" in result.output
    if count != "0":
        with pytest.raises(ValueError, match=f"count: expected 0 to 64 processes, got {count}"):
            Options(count=int(count))
        checked = CliRunner().invoke(main, ["check", "-c", str(path), "--set", f"plugins.workers.count={count}"])
        assert checked.exit_code != 0
        assert f"plugins.workers.count: expected 0 to 64 processes, got {count}" in checked.output


def test_as_many_workers_as_are_accepted():
    """The two bounds are those of the errors."""
    assert Options(count=64).count == 64
    assert Options(count=0).count == 0


def test_a_gateway_of_a_fleet_has_no_workers(tmp_path):
    """The queues of the fleet are not those of workers, which would be started for nothing: that is an error."""
    path = tmp_path / "evframe.toml"
    path.write_text('[plugins.fleet]\nbrokers = "127.0.0.1:1"\n')
    checked = CliRunner().invoke(main, ["check", "-c", str(path), "--set", "plugins.workers.count=2"])
    assert checked.exit_code != 0
    expected = "expected no other plugin that opens the queues of all subscribers, got 'fleet'"
    assert f"plugins.workers: {expected}" in checked.output
    assert CliRunner().invoke(main, ["check", "-c", str(path)]).exit_code == 0
