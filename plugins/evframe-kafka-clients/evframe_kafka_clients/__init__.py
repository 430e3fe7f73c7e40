"""What plugins that send to a Kafka, and plugins that consume from one, share."""
