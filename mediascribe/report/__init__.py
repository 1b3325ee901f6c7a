"""What people read: terminal tables."""
