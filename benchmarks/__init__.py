"""Measure what pytest-mlrun costs, beside its peers."""
