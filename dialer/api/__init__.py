"""The HTTP side: REST under ``/api/v1``, live events, health and ``/metrics``.

Import `dialer.api.app` and `dialer.api.server` only where a server is wanted: the web framework takes half a second.
"""
