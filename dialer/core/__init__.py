"""The pure core: events in, commands and notices out; no I/O, no clock, no randomness."""
