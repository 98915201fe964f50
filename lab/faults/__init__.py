"""Faults that can be put into a lab on purpose, each with the one acceptance scenario that has to notice it.

lab/faults.yml describes them. A fault is code beside the balancer's own (a patched installation), something interposed
or a changed host, never a switch in balancer/. `python -m lab break FAULT` calls `inject`, `lab mend` calls `mend`.
"""

from lab.faults.catalogue import Fault, load
from lab.faults.injection import broken, inject, mend

__all__ = ["Fault", "broken", "inject", "load", "mend"]
