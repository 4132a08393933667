"""The record in SQL: campaigns, contacts, attempts, removals, do-not-call entries, keys, deliveries.

One module a noun, each with one class that takes a `Database`. Every method is one transaction, can be repeated, and
raises `StorageError` alone. Import the modules; this package itself imports nothing, since SQLAlchemy takes half a
second.
"""
