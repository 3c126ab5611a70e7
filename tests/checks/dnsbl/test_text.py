from __future__ import annotations

from vaglio.checks.dnsbl.text import help_url


def test_what_is_no_utf_8_does_not_break_a_help_page() -> None:
    assert help_url("https://x.test/?{name}&{ip}", "192.0.2.7", "a\udcff@b.it") == "https://x.test/?a%3F%40b.it&192.0.2.7"
