"""Queues whose subscribers are divided among processes: events leave in frames, and are delivered elsewhere."""
