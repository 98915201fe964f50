"""The list of fixture modules; each documents its fixtures."""

pytest_plugins = ["tests.services", "tests.sandbox", "tests.deployed_cluster", "tests.skip_without_nfs"]
