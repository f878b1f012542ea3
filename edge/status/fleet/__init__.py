"""The fleet page: every device, where it disagrees with its witness, and the proofs of it."""
