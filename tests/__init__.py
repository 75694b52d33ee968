"""Tests of the contract, from unit tables to a real Kafka."""
