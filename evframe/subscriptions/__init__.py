"""Who gets it: names that resolve, and what run-time clients may do."""
