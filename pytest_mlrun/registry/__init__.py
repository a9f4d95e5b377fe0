"""Keep which runs are models, under which names, and who said so."""
