"""Sends mail by SMTP: the connection, the conversation, sign-in, and the delivery of a mail."""
