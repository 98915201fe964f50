from pytest_bdd import scenarios

scenarios("features/disable.feature")
