"""What happened: events, their declarations and their registry."""
