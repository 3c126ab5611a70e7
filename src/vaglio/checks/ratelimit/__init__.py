"""Outbound limits: how much a login, a sender or a client may send, and the signs of an account in wrong hands."""
