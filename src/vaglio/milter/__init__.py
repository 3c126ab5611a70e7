"""The Sendmail milter protocol: wire codec, events to facts, verdicts to header edits and replies; two engines."""
