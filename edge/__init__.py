"""framegate: blocks face matching outside a controlled capture context."""
