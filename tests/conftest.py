"""Hypothesis generates different examples in each run, and a failed run prints what is needed to repeat it.

bin/test gives each run a seed, which the report's header shows: if examples share state, one alone may not fail again.
Without a seed, Hypothesis chooses one for each test and stores failures in .hypothesis, to try them first next time.
"""

from datetime import timedelta

import pytest
from hypothesis import HealthCheck, settings

from tests.manual_clock import Clock

settings.register_profile(
    "fresh",
    # Hypothesis changes its defaults if it detects a CI system.
    settings.get_profile("default"),
    derandomize=False,
    print_blob=True,
    # An example that takes this long hangs, however busy the machine is.
    deadline=timedelta(seconds=20),
    # An unlucky draw is not a failure, and sharing one server between all examples is intended.
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture],
)
settings.load_profile("fresh")


def pytest_report_header(config: pytest.Config) -> str | None:
    seed = config.getoption("--hypothesis-seed")
    return None if seed is None else f"repeat with: --hypothesis-seed={seed}"


@pytest.fixture
def clock() -> Clock:
    return Clock()
