"""What is made out of notices: the live view, abandonment over the legal windows, and metrics.

Projections take notices in and give state out. They know nothing of the engine, read no clock (`now` is an argument),
and their state is bounded by what exists now: agents, campaigns, calls in flight.
"""
