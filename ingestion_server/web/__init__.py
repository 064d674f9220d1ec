"""The HTTP door: health for probes, pages for operators."""
