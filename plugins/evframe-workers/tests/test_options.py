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
