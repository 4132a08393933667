"""The digital twin: floors simulated and days replayed, as tables, pictures and pages.

The arithmetic is `pacing`'s. This room reads scenarios and records, spreads the work over processes or RQ workers, and
shows what came of it.
"""
