"""Parts of `framegate fleet` that have a file of their own."""
