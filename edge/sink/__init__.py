"""A ready sink: what is masked, in a browser or as a file."""
