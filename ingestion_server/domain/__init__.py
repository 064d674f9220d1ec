"""Values and failures; no I/O and no framework."""
