"""Score loan applications."""
