"""How events get there: queues, batches, retries, outcomes."""
