"""Only the list of fixture modules; each says what it offers."""

pytest_plugins = ["tests.services", "tests.sandbox", "tests.deployed"]
