"""How well callers and vendors were served: counted, kept, and summed up."""
