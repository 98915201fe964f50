"""What a node does with a recorded meeting after its end (reference 5)."""
