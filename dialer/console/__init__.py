"""The console: pages for supervisors and campaign managers, rendered here and kept live by server-sent events."""
