"""The Asterisk lab: a real Asterisk, a carrier with callees and agents' phones on one machine, without root rights.

Standard library only: it runs before any environment has been made. `scripts/asterisk-lab` is its command.
"""
