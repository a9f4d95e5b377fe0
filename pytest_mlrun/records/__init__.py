"""The frozen dataclasses that every layer speaks."""
