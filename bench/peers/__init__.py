"""Alternatives to the gate between camera and matcher; each is measured in the same run."""
