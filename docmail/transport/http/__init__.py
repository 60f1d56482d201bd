"""Sends mail by HTTP: as a form, or to a mail service's API."""
