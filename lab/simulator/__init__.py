"""A BigBlueButton node without BigBlueButton: its API, client page, recordings and host files.

Written from the protocol reference alone, with a checksum of its own, so that it can judge the
balancer. Run it with `python -m lab.simulator`; `README.md` here describes its interface.
"""
