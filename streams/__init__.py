"""The shell around `pricing`: Kafka, the clock, HTTP, files, the command line.

Read in this order; each module imports only from those before it: errors, version, topics, tls, setting_values,
settings, partitions, codec, total_codec, seen, packed_totals, state, headers, reconciling, batch, account_records,
letters, expiry, step, kafka_errors, records, transactions, clients, rights, reaching, admin, reading, restoring,
session, metrics, books, task, worker, http, running; then what surrounds the worker: limits, web, fetching_fal,
fetching, bookshelf, explaining, offline, schema, kafka_config, kafka_jars, kafka_probe, kafka_keeper, embedded_kafka,
trial, children, demo_usage, demo_watch, demo_view, demo_account, demo, bench_load, bench_measure, bench_copy,
benchmark, cli.
"""
