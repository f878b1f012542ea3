"""How well the masked lane hides people."""
