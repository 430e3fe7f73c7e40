"""What plugins that publish to a NATS, and plugins that consume from one, share."""
