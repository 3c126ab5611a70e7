"""Verdicts as answers of the Postfix policy protocol (access(5) actions, SMTPD_POLICY_README).

The one place on the policy side where text goes out, and so where it is made harmless: one line, valid UTF-8, no
control characters, bounded.
"""

from __future__ import annotations

from vaglio.facts import Stage
from vaglio.text import MAX_REPLY, is_field_name, one_line
from vaglio.verdict import Action, Header, Verdict

MAX_HEADER = 900
"""Bytes of a header value: it can't be folded here (an answer is one line), and RFC 5322 2.1.1 ends at 998."""

PASS = b"action=DUNNO\n\n"

_PREPENDABLE = frozenset({Stage.MAIL, Stage.RCPT, Stage.DATA})  # access(5); Postfix ignores it at END-OF-MESSAGE
_WORDS = {Action.REJECT: "REJECT", Action.HOLD: "HOLD", Action.DISCARD: "DISCARD"}


def render(verdict: Verdict, stage: Stage, prepend: bool = True) -> bytes:
    """Return the answer to a request at ``stage``; ``prepend=False`` leaves the header out.

    A pass is DUNNO, never OK: OK would end the restriction list, and with it whatever the admin put behind us.
    """
    if verdict.action is Action.PASS:
        if not verdict.headers or not prepend or stage not in _PREPENDABLE:
            return PASS
        return _prepend(verdict.headers[0])
    return f"action={_word(verdict)}{_text(verdict)}\n\n".encode()


def _word(verdict: Verdict) -> str:
    if verdict.action is not Action.DEFER:
        return str(verdict.reply.code) if verdict.immediate and verdict.reply else _WORDS[verdict.action]
    # DEFER_IF_PERMIT: a restriction further on may still refuse for good, and then no retry is provoked.
    return str(verdict.reply.code if verdict.reply else 451) if verdict.immediate else "DEFER_IF_PERMIT"


def _text(verdict: Verdict) -> str:
    reply = verdict.reply
    if reply is None:
        return ""
    # access(5): the text of a HOLD goes into Postfix's log, not to the client, and has no enhanced code.
    text = reply.text if verdict.action is Action.HOLD else f"{reply.enhanced} {reply.text}"
    return f" {one_line(text, MAX_REPLY)}"


def _prepend(header: Header) -> bytes:
    if not is_field_name(header.name):
        return PASS
    return f"action=PREPEND {header.name}: {one_line(header.value, MAX_HEADER)}\n\n".encode()
