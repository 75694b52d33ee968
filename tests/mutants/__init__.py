"""Deliberate breakages of the worker. `python -m tests.mutants` shows that each of them fails a test."""
