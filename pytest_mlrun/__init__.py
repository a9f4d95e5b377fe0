"""Training runs are tests; their results are evidence."""
