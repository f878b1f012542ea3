"""What an evaluation found, in words and pictures for readers who do not know the guard."""
