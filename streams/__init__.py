"""The shell around `pricing`: Kafka, the clock, HTTP, files, the command line.

Read in this order: errors, topics, settings, codec, headers, seen, state, step, reading, session, metrics, books, task,
worker, http, running; then what surrounds them: admin, bookshelf, fetching, embedded_kafka, demo, benchmark, cli.
"""
