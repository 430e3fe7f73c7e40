"""The commands that talk to a gateway; they come with the command line of evframe alone."""
