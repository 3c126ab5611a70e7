"""Scoring: how much a message looks like spam, and by which words, links, files and facts."""
