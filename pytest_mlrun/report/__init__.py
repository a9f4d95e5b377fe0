"""Turn records into something a person reads."""
