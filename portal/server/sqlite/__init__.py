"""Django's backend for SQLite, with an order among those who write."""
