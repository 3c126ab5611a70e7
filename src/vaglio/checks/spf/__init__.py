"""SPF (RFC 7208): may this client send in the name of this domain, what comes of it, and who must do what."""
