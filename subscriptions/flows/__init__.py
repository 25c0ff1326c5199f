"""Changes of subscriptions and plans; one file for each use case."""
