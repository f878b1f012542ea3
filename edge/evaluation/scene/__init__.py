"""How well the scene model judges somebody's own pictures of places."""
