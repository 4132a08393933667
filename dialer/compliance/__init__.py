"""Rules of law and of the house that stand before every call, as data and pure checks over it."""
