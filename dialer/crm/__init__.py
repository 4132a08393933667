"""What goes to a CRM: results by webhook."""
