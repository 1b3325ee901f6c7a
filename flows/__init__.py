"""When, and in what order: one file per Prefect flow, and the command line."""
