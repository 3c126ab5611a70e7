"""What both engines ask of a mail server, and how they take their leave. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from vaglio.examination import Needs
from vaglio.milter.plan import Plan
from vaglio.milter.wire import Actions, Stage, Steps

LINGER = 2.0
"""Seconds that a connection between two messages may stay open at a stop, for the mail server to end it."""

MACROS: Mapping[int, str] = {
    Stage.CONNECT: "{client_ptr} {daemon_name}", Stage.MAIL: "i {auth_authen}", Stage.END_OF_MESSAGE: "i",
}  # fmt: skip
"""What is asked for by name: a mail server need not send it by itself, and any of it may be missing. Postfix knows the
queue id (``i``) at the end of a message, Sendmail at MAIL; it does not heed what is asked of it for the end."""

TURNED_AWAY = ("the mail server does not let milters add header fields, and a check here (DKIM signing) is there for "
               "nothing else; it does with the mail as it is told for a milter that is down")  # fmt: skip

_EDITS = Actions.ADD_HEADERS | Actions.CHANGE_HEADERS | Actions.QUARANTINE
ACTIONS = _EDITS | Actions.SET_MACROS
ALL_EDITS = int(_EDITS)


def is_in_vain(needs: Needs, actions: Actions) -> bool:
    """Say whether checks with these needs can't do what they are there for by the actions that were agreed on."""
    return Needs.ADDING in needs and Actions.ADD_HEADERS not in actions


def undone(plan: Plan, actions: int) -> list[str]:
    """Return in words what of a plan the mail server does not let us do; for when it lets us do less than all."""
    told = "the mail server does not let milters"
    wanted = (
        (plan.quarantine, Actions.QUARANTINE, f"a message was to be held, and was delivered: {told} hold messages"),
        (plan.insert, Actions.ADD_HEADERS, f"header fields were to be added, and were not: {told} add any"),
        (plan.replace, Actions.CHANGE_HEADERS, f"header fields were to be taken out, and were not: {told} change any"),
    )
    return [words for what, action, words in wanted if what and not actions & action]


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
