"""The mail form."""
