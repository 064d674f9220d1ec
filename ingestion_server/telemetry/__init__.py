"""Ears: log lines and metrics, fed by hooks; nothing here may fail or wait."""
