"""The processing of a recorded meeting after its end (reference 5)."""
