"""What mediascribe runs on: plain library code, no Prefect in it."""

__version__ = "0.1.0"
