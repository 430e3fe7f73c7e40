"""What plugins that add to streams of a Redis, and plugins that consume them, share."""
