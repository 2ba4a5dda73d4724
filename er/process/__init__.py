"""Start, watch and stop processes, with everything that they started."""
