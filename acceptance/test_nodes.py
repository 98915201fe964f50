from pytest_bdd import scenarios

scenarios("features/nodes.feature")
