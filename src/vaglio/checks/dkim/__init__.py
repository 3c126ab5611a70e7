"""DKIM (RFC 6376, 8301, 8463, 8616): is this message as its signer sent it, and if not, who must do what."""
