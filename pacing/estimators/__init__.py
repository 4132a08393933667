"""What `predictive` learns while it dials."""
