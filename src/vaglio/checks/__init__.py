"""One folder per check; checks never import each other."""
