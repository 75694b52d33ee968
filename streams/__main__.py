"""`python -m streams` is `stream-pricing`."""

from streams.cli import main

main(prog_name="stream-pricing")
