"""The simulator as a host's service: files, units and tools that a real node has (reference 7)."""
