"""Which header fields are signed as shipped, and which never are. Names in lower case; no choice is made here."""

from __future__ import annotations

OVERSIGNED = ("from", "to", "cc", "subject", "date", "reply-to", "sender", "message-id", "mime-version",
              "content-type", "content-transfer-encoding")  # fmt: skip
"""Signed once more than they are there."""

SIGNED = ("in-reply-to", "references", "list-id", "list-help", "list-unsubscribe", "list-unsubscribe-post",
          "list-subscribe", "list-post", "list-owner", "list-archive", "resent-date", "resent-from", "resent-sender",
          "resent-to", "resent-cc", "resent-message-id", "content-id", "content-description", "autocrypt",
          "auto-submitted", "feedback-id")  # fmt: skip
"""Signed where they are there."""

ADDED = frozenset({"date", "message-id"})
"""What mail servers add where it is missing (RFC 5321 6.3; Sendmail does so behind its milters): signed once more where
they are there, and not at all where they are not, or that would break the signature."""

NEVER = frozenset({
    "return-path", "received", "received-spf", "authentication-results", "dkim-signature", "bcc", "resent-bcc",
    "comments", "keywords", "delivered-to", "x-original-to", "arc-seal", "arc-message-signature",
    "arc-authentication-results",
})  # fmt: skip
"""Trace fields, and those that RFC 6376 5.4.1 would not have signed."""
