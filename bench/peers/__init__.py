"""What a user would otherwise put between camera and matcher; each measured in the same run."""
