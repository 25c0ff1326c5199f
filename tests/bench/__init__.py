"""`make bench`: how fast terminals are answered, measured on real servers and databases."""
