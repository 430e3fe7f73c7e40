"""What happened: the events, their declarations, and the one reader of what others send."""
