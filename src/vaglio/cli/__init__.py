"""The admin's command, `vaglio`."""
