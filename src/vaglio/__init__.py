"""Vaglio: small policy daemons and milters for Postfix and Sendmail that say why."""

__version__ = "0.1.0"
