"""Blocklists and allow lists of the DNS, and private ones, as one score with its reasons."""
