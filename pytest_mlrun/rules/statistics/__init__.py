"""Decide with a stated error rate: one method a file, numbers in, numbers out."""
