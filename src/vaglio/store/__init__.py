"""What checks remember: SQLite (default) and memory behind one port."""
