"""How a run is followed to its end, without any I/O: shared by both clients."""
