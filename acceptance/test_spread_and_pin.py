from pytest_bdd import scenarios

scenarios("features/spread_and_pin.feature")
