"""Faults that can be injected into a lab, each with the one acceptance scenario that must detect it.

lab/faults.yml describes them. A fault is a patch of the installed balancer, an obstacle between hosts or a changed
host, never a switch in balancer/. `python -m lab break FAULT` calls `inject`, `python -m lab mend` calls `mend`.
"""

from lab.faults.catalogue import Fault, load
from lab.faults.injection import broken, inject, mend

__all__ = ["Fault", "broken", "inject", "load", "mend"]
