"""Marks in the subject of a message."""
