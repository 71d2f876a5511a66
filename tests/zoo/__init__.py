"""Hostile archives, documents, directories and names, made without clock or randomness, and what runs over them all."""
