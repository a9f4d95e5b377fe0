"""Record runs: begin, log, finish; joins pillars, rules and store, and knows no pytest."""
