"""What both engines ask of a mail server, and how they take their leave. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from vaglio.examination import Needs
from vaglio.milter.wire import Actions, Stage, Steps

LINGER = 2.0
"""Seconds that a connection between two messages may stay open at a stop, for the mail server to end it."""

MACROS: Mapping[int, str] = {
    Stage.CONNECT: "{client_ptr} {daemon_name}", Stage.MAIL: "i {auth_authen}", Stage.END_OF_MESSAGE: "i",
}  # fmt: skip
"""What is asked for by name: a mail server need not send it by itself, and any of it may be missing. Postfix knows the
queue id (``i``) at the end of a message, Sendmail at MAIL; it does not heed what is asked of it for the end."""

NOT_HELD = "a message was to be held, and was delivered: the mail server does not let milters hold messages"

ACTIONS = Actions.ADD_HEADERS | Actions.CHANGE_HEADERS | Actions.QUARANTINE | Actions.SET_MACROS


def unwanted(needs: Needs) -> Steps:
    """Return what is left out for checks with these needs; a mail server may not know all of it."""
    steps = Steps.NO_DATA | Steps.NO_UNKNOWN | Steps.LEADING_SPACE
    steps |= Steps.SILENT_CONNECT | Steps.SILENT_HELO | Steps.SILENT_MAIL | Steps.SILENT_HEADER
    steps |= Steps.SILENT_END_OF_HEADERS | Steps.SILENT_BODY
    if Needs.RECIPIENTS not in needs:
        steps |= Steps.SILENT_RCPT
    if Needs.HEADERS not in needs:
        steps |= Steps.NO_HEADERS | Steps.NO_END_OF_HEADERS
    if not needs & (Needs.BODY | Needs.CHUNKS):
        steps |= Steps.NO_BODY
    return steps
