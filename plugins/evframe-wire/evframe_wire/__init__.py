"""What evframe and its client share: events as JSON, addresses as text, and text that may be shown."""
