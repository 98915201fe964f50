"""The simulator as services of a host, with the files, units and tools of a real node (reference 7)."""
