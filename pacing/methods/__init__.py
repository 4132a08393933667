"""The pacing methods of the product."""
