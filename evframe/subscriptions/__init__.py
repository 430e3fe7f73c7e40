"""Who gets events, and for how long."""
