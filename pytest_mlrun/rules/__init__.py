"""Decide: pure functions of numbers and names, with no I/O and no clock."""
