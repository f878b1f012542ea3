"""A day in front of a fixed camera: what changes a room, and whether the guard knows it again."""
