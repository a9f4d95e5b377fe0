"""Reproduce a recorded run from its record alone, and say what held."""
