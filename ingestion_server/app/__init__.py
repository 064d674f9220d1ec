"""The composition root: settings, wiring, lifecycle; only here is the world read."""
