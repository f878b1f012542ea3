"""The state of a fleet's devices over MQTT: what a device publishes, and what a reader finds."""
