"""Moves the contents of a container image from one format to another, intact."""
