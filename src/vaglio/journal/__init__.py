"""Every decision that is not a plain pass, kept and searchable by its reference."""
