"""What is generated differs from run to run, and what a failed run says suffices to repeat it.

bin/test gives each run a seed, which its header tells: with state between the examples, one alone may not fail again.
Without a seed, Hypothesis draws one for each test and keeps in .hypothesis what failed, to try that first next time.
"""

from datetime import timedelta

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile(
    "fresh",
    # Hypothesis changes its defaults where it knows the CI.
    settings.get_profile("default"),
    derandomize=False,
    print_blob=True,
    # What takes that long hangs, however busy the machine is.
    deadline=timedelta(seconds=20),
    # An unlucky draw is no failure, and one server for all examples is meant.
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture],
)
settings.load_profile("fresh")


def pytest_report_header(config: pytest.Config) -> str | None:
    seed = config.getoption("--hypothesis-seed")
    return None if seed is None else f"repeat with: --hypothesis-seed={seed}"
