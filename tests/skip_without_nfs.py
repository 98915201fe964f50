"""Skips the tests that need NFS between hosts on a machine where no kind of host can have it."""

import pytest

from lab import machines


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("nfs") and (reason := machines.why_no_nfs()):
        pytest.skip(f"nfs: not possible on this machine, because {reason}")
