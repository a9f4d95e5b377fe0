"""Find the facts that a result rests on, and pin them: code, data, environment, randomness."""
