"""What holds for every tool of the registry."""
