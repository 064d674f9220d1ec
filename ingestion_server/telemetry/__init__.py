"""Ears: log lines, metrics and spans, fed by hooks."""
