"""What goes to a CRM, and what is asked of one: results by webhook, pending calls, updates."""
