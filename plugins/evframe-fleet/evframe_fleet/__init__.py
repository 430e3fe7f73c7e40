"""Gateways that share leases and load on Apache Kafka."""
