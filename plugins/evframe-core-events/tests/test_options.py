"""The options: their defaults turn everything off, and bad ones are named."""

import pytest
from evframe_core_events import CoreEvents, Options
from evframe_core_events.scaling import Profile

import evframe


def test_defaults():
    """As in the original, no limit is on, and no log line raises an event."""
    options = Options()
    assert options.profile is None
    assert not options.log_event_enabled
    assert (options.log_event_level_filter, options.log_msg_buf_size) == (0, 4096)
    limits = ("exec_route_threshold_us", "delivery_threshold_us", "loop_lag_threshold_us")
    assert [getattr(options, name) for name in (*limits, "event_pkg_threshold", "event_shm_threshold")] == [0] * 5


def test_profile():
    """A profile without `within` looks at as many cycles as it needs."""
    options = Options(scale_up_percent=70, scale_up_cycles=4, scale_down_percent=20, scale_down_cycles=5)
    assert options.profile == Profile(70, 4, 4, 20, 5)
    assert Options(scale_up_percent=70, scale_up_cycles=4, scale_up_within=6).profile.up_within == 6


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ("event_pkg_threshold = 101", "event_pkg_threshold: expected 0 to 100 percent, got 101"),
        ("exec_route_threshold_us = -1", "exec_route_threshold_us: expected 0 or more, got -1"),
        ("memory_check_interval_s = 0", "memory_check_interval_s: expected more than 0 seconds, got 0.0"),
        ("scale_up_percent = 50\nscale_down_percent = 50", "expected less than scale_up_percent, 50, got 50"),
        ("scale_down_percent = 20", "scale_down_percent: expected less than scale_up_percent, 0, got 20"),
        ("scale_up_cycles = 4\nscale_up_within = 3", "scale_up_within: expected scale_up_cycles, 4, or more, got 3"),
        ("log_event_level_filter = 5", "log_event_level_filter: expected -3 .* got 5"),
        ("log_event_enabled = 1", "log_event_enabled: expected bool, got 1"),
        ("log_rate_limits = 1", "unknown key 'log_rate_limits'"),
    ],
)
def test_bad_options(options, problem):
    """Each bad option is a problem with its path."""
    config = evframe.config.parse_config(f"[plugins.core-events]\n{options}")
    with pytest.raises(evframe.ConfigError, match=f"^plugins.core-events.*{problem}"):
        evframe.EventInterface(config)


def test_kind():
    """It is a source, with or without a wrapper round deliveries."""
    options = Options(delivery_threshold_us=1)
    events = evframe.EventInterface(plugins={"core-events": CoreEvents(options)})
    assert events.plugin_status[0].kind == "source"
    assert len(events.plugin_status[0].events) == 7
