"""A message out of a mailbox is judged as it came."""

from __future__ import annotations

from vaglio.cli.given import as_it_came
from vaglio.milter.replay import read

CAME = (b"Received: from x\n\tby mail.tizio.it; now\nX-Greylist: by mail.caio.it\nFrom: a\n"
        b"\nReceived: by mail.caio.it\n")  # fmt: skip
ADDED = (b"Return-Path: <a>\nDelivered-To: b\nReceived: from mail.caio.it\n\tby mail.caio.it with LMTP\n\tid 1;\n"
         b"Received: from mail.caio.it\n\tby vm with LMTP\n\tid 3;\n"
         b"Authentication-Results: mail.caio.it; spf=pass\nX-Spam-Flag: NO\n"
         b"Received: from y by MAIL.caio.it (Postfix)\n\tid 2; now\n")  # fmt: skip


def test_what_the_host_that_judged_a_message_has_put_on_top_of_it_is_left_out() -> None:
    came = read(CAME)[0]
    assert as_it_came(read(ADDED + CAME)[0], "mail.caio.it") == came
    assert as_it_came(came, "mail.caio.it") == came
    assert as_it_came(read(ADDED + CAME)[0], "mail.sempronio.it") == read(ADDED + CAME)[0]


def test_what_stands_below_a_field_of_others_was_there_already() -> None:
    forged = read(b"Subject: x\n" + ADDED + CAME)[0]
    assert as_it_came(forged, "mail.caio.it") == forged
