"""The only home of dnspython."""
