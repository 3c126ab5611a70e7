"""Greylisting: the first contact of a triplet is asked to come back later."""
