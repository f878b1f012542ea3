"""Evaluation of the guard on a folder of recordings."""
