"""A BigBlueButton node without BigBlueButton: its API, client page, recordings and host files.

It follows the protocol reference and has its own checksum code, so that it can test the balancer. Run it with
`python -m lab.simulator`; `README.md` here describes its interface.
"""
