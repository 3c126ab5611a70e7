"""The Postfix policy delegation protocol (SMTPD_POLICY_README): parse, render, serve."""
