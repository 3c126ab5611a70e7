"""Signing: who signs what by which key, and the life of a key."""
