"""What changes tenants, members and invitations: nothing else does."""
