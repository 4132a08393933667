"""Intake: whatever comes from a CRM, a file or a person, until it is a value of the core or a reason why not."""
