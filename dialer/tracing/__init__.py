"""What happens to a contact and to each of its calls, as OpenTelemetry traces; only where the settings ask for it.

    notices ─► CallTraces ┐
    contacts ► Arrivals   ├─► spans ─► Outlet (bounded, a thread) ─► OTLP over HTTP
    webhooks ► the worker ┘

Where a span belongs follows from the ids of contact and call (`places`), so that no state need be kept anywhere for the
node, the neighbour that takes over after a crash and the worker to write into one trace. No span says who is called.
"""
