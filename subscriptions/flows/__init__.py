"""What changes subscriptions; one file a use case."""
