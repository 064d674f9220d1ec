"""How one call is made: a list of steps around `send`."""
