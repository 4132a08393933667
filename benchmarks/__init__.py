"""Measurements, each a module to be run: `python -m benchmarks.pacing_guard`."""

import dialer  # noqa: F401  numpy on one thread, as in the dialer, and before it is loaded
