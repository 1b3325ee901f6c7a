"""What Prefect tracks: one decorated function per step, no logic."""
