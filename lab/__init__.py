"""A mail world in a bottle: namespaces, a name server, throwaway Postfix instances and clients.

Used by tests/postfix and by scripts/run, never installed. Nothing here changes the machine: files, processes and
addresses live in namespaces that end with the program that made them.
"""
