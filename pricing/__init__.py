"""Prices of AI usage, exact and pure: no clock, no I/O, no logging; time comes in as an argument.

Read in this order; each module imports only from those before it: errors, money, times, kinds, documents, accounts,
events, response_counts, surface_shapes, surface_table, surfaces, checks, reading, models, model_names, sheets, cases,
exchange, importers, sheet_diff, sheet_review, book_records, rating, price_table, estimates, book, terms, selection,
costs, amounts, pipeline, totals.
"""
