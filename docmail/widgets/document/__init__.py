"""A document under a cell, and its Email button."""
