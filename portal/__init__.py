"""The project: accounts, tenants, the admin, and what every page needs."""

__version__ = "1.0.0"
