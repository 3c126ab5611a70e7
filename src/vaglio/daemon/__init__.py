"""Processes: sockets, prefork workers, signals, systemd, logs, metrics, failure policy."""
