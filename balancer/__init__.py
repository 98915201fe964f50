"""The balancer of bbb-fleet: many BigBlueButton servers answer as one."""

from importlib.metadata import version

__version__ = version("bbb-fleet")
