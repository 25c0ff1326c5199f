"""`make bench`: how fast terminals and people are answered, on real servers and databases."""
