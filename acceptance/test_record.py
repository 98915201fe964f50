from pytest_bdd import scenarios

scenarios("features/record.feature")
