"""The DNS behind the port ``Resolver``: over the network, or from a zone file. The only home of dnspython."""

from vaglio.dns.open import open_resolver

__all__ = ["open_resolver"]
