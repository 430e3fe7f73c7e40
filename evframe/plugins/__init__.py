"""Who does it: hooks, transports, and what a plugin may do."""
