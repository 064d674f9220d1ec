"""Ears: log lines, metrics and spans, fed by hooks; nothing here may fail or wait."""
