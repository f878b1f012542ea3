"""Arithmetic that every processor does alike."""
