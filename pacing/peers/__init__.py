"""Pacing rules of known dialers, as their sources or documents describe them, for comparison only.

Each is written from a description of behaviour, under this package's contract, with the defaults that it ships with.
They are asked as often as the simulator asks any method; where a rule has a cycle of its own it keeps to it.
"""
