"""Measures speed against stated limits, one question a module. ``python -m benchmarks`` runs all of them."""
