"""What is kept: the nouns, the DuckDB file, and which checkpoint saver to open."""
