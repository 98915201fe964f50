"""Types of fixtures that many steps take."""

from collections.abc import Callable

#: Adds an observation to the report, under the current step.
Note = Callable[[str], None]
#: Multiplies a deadline (seconds) by the environment's `patience`.
TimeLimit = Callable[[float], float]
