"""Prices of AI usage, exact and pure: no clock, no I/O, no logging; time comes in as an argument.

Read in this order; each module imports only from those before it: errors, money, times, documents, accounts, events,
reading, sheets, exchange, importers, sheet_review, book_records, rating, estimates, book, pipeline, totals.
"""
