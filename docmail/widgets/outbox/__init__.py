"""The outbox, a run and a batch under a cell."""
