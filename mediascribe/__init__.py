"""What mediascribe runs on: plain library code, no Prefect in it."""
