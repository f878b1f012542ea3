"""What the check of the view remembers from one reading to the next."""
