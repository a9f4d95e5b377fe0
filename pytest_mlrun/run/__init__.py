"""Offer the object that a test receives."""
