"""What the MQTT plugins of evframe share: a connection to a server of MQTT 5."""
