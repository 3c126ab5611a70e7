"""The milter engine on Sendmail's libmilter, through pymilter: callbacks in, answers out. Opens no socket, knows no
check. The only file that imports pymilter.

libmilter calls from threads of its own, consecutive events of a connection from different ones; ``handover`` takes them
to the event loop. No exception leaves a callback: the mail server would wait 300 s for an answer.

What pymilter does not let through: bytes that are no UTF-8 become U+FFFD in what is written. In a HELO, a host name or
the name of a header field they fail before any code of ours is called; Python's excepthook hears of that, and takes
them out of the error. The value of such a field is lost: it is judged as empty, and the log says so.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from contextvars import ContextVar
from functools import partial
from types import TracebackType
from typing import Any

import milter

from vaglio.milter.agreed import MACROS, TURNED_AWAY, is_in_vain, undone
from vaglio.milter.handover import Agreement, Connection, Server
from vaglio.milter.plan import Plan
from vaglio.milter.text import doubled
from vaglio.milter.wire import Actions, Peer

_CONTINUE: int = milter.CONTINUE
_NOREPLY: int = milter.NOREPLY
_TEMPFAIL: int = milter.TEMPFAIL
_REJECT: int = milter.REJECT
_DISCARD: int = milter.DISCARD

_CURRENT: ContextVar[Connection | None] = ContextVar("_CURRENT", default=None)
"""The connection whose callback runs: pymilter has a thread state of Python's for each connection, whichever thread of
libmilter's it runs in, and context variables belong to thread states."""


def listen(server: Server, where: str) -> None:
    """Have libmilter call us, and open a socket, named as it wants names. Once in a process; raises OSError."""
    for name, event in _SILENT.items():
        getattr(milter, f"set_{name}_callback")(_callback(server, event, _no_answer))
    milter.set_envrcpt_callback(_callback(server, _rcpt, _trouble))
    milter.set_eom_callback(_callback(server, _end_of_message, _trouble))
    milter.set_exception_policy(_CONTINUE)
    sys.excepthook = partial(_excepthook, server.safely(Connection.undecodable, _nothing), sys.excepthook)
    try:
        milter.setconn(where)
        milter.register("vaglio", negotiate=_callback(server, _negotiate, _no_filter))
        milter.opensocket(False)
    except milter.error as error:
        raise OSError(f"libmilter: {error}") from None


def run() -> None:
    """Take connections, in a thread for this alone, until libmilter gives up: it hears signals that were meant for us
    if they come in quick succession. The end of the process is the better way to stop it: told to stop, it drops
    messages under way, and takes up to 5 s.
    """
    with suppress(milter.error):
        milter.main()


# --- events ---


def _negotiate(connection: Connection, context: Any, options: list[int]) -> int:
    agreed = connection.negotiate(*options[:2])
    if is_in_vain(agreed.host.needs, agreed.actions):
        connection.warn(f"closing a milter connection: {TURNED_AWAY}")
        return _REJECT
    if Actions.SET_MACROS in agreed.actions:
        for stage, names in MACROS.items():
            context.setsymlist(int(stage), names)
    options[:2] = int(agreed.actions), int(agreed.steps)
    return _CONTINUE


def _connect(connection: Connection, context: Any, name: str, _: int, address: Any) -> None:
    macros = {one.encode(): _macro(context, one) for one in ("{client_ptr}", "{daemon_name}")}
    connection.connect(_peer(name.encode(), address), macros)


def _helo(connection: Connection, _: Any, name: str) -> None:
    connection.helo(name.encode())


def _mail(connection: Connection, context: Any, *arguments: bytes) -> None:
    connection.mail(arguments, _macro(context, "{auth_authen}"))


def _rcpt(connection: Connection, context: Any, *arguments: bytes) -> int:
    if refused := connection.recipient(arguments):
        return _refuse(context, refused)
    return _CONTINUE if connection.asks_recipients else _NOREPLY


def _header(connection: Connection, _: Any, name: str, value: bytes) -> None:
    connection.header(name.encode(), value)


def _end_of_headers(connection: Connection, _: Any) -> None:
    connection.end_of_headers()


def _body(connection: Connection, _: Any, chunk: bytes) -> None:
    connection.body(chunk)


def _end_of_message(connection: Connection, context: Any) -> int:
    try:
        plan = connection.end_of_message(_macro(context, "i"))
        for words in undone(plan, connection.agreed.actions):
            connection.warn(words)
        return _carry_out(context, plan, connection.agreed)
    except milter.error as error:
        connection.warn(f"the mail server did not take what becomes of a message: {error}")
        return _unjudged(connection)
    finally:
        connection.over()


def _abort(connection: Connection, _: Any) -> None:
    connection.give_up()


def _close(connection: Connection, _: Any) -> None:
    connection.close()


_SILENT: Mapping[str, Callable[..., None]] = {
    "connect": _connect, "helo": _helo, "envfrom": _mail, "header": _header, "eoh": _end_of_headers, "body": _body,
    "abort": _abort, "close": _close,
}  # fmt: skip
"""Events that have no answer, by pymilter's names."""

# --- callbacks ---


def _callback(server: Server, event: Callable[..., int | None], instead: Callable[..., int]) -> Callable[..., int]:
    def call(context: Any, *arguments: Any) -> int:
        connection = context.getpriv()
        if connection is None:
            connection = Connection(server)
            context.setpriv(connection)
            _CURRENT.set(connection)
        answer = event(connection, context, *arguments)
        return _NOREPLY if answer is None else answer

    return server.safely(call, instead)


def _no_answer(error: Exception, context: Any, *_: Any) -> int:  # noqa: ARG001  # as all of these
    """Answer nothing where nothing is answered: the mail server would wait for the end of the message in vain."""
    if connection := context.getpriv():
        connection.spoil()
    return _NOREPLY


def _trouble(error: Exception, context: Any, *_: Any) -> int:  # noqa: ARG001
    connection = context.getpriv()
    return _unjudged(connection) if connection else _TEMPFAIL


def _unjudged(connection: Connection) -> int:
    return _CONTINUE if connection.lenient else _TEMPFAIL


def _no_filter(error: Exception, *_: Any) -> int:  # noqa: ARG001
    return _REJECT  # libmilter closes the connection, and the mail server does as it is told for that case


def _nothing(error: Exception, *_: Any) -> None:
    pass


def _excepthook(
    undecodable: Callable[[Connection, bytes], None], otherwise: Callable[..., object],
    kind: type[BaseException], error: BaseException, trace: TracebackType | None,
) -> None:  # fmt: skip
    connection = _CURRENT.get()
    if connection is not None and isinstance(error, UnicodeDecodeError):
        undecodable(connection, error.object)
    else:
        otherwise(kind, error, trace)


def _macro(context: Any, name: str) -> bytes:
    """Return the value of a macro; empty if the mail server has not told it."""
    try:
        value: str | None = context.getsymval(name)
    except UnicodeDecodeError as error:
        return error.object
    return value.encode() if value else b""


def _peer(name: bytes, address: Any) -> Peer:
    """Return a client as pymilter names it: by address and port, for IPv6 two more numbers; by path; or not at all."""
    if isinstance(address, tuple):
        return Peer(name, b"4" if len(address) == 2 else b"6", address[1], address[0].encode())
    return Peer(name) if address is None else Peer(name, b"L", 0, address.encode())


def _refuse(context: Any, reply: str) -> int:
    code, enhanced, text = doubled(reply).split(" ", 2)
    context.setreply(code, enhanced, _text(text.encode("utf-8", "surrogateescape")))
    return _REJECT if code[0] == "5" else _TEMPFAIL


def _carry_out(context: Any, plan: Plan, agreed: Agreement) -> int:
    """Do what is planned, as far as the mail server lets us; return the answer. Raises milter.error."""
    if plan.reply:
        return _refuse(context, plan.reply)
    if plan.discard:
        return _DISCARD
    blank = " " if agreed.leading_space else ""
    if Actions.CHANGE_HEADERS in agreed.actions:
        for change in plan.replace:
            context.chgheader(_text(change.name), change.nth, blank + _text(change.value) if change.value else "")
    if Actions.ADD_HEADERS in agreed.actions:
        for one in plan.insert:
            context.addheader(_text(one.name), blank + _text(one.value), 0)
    if plan.quarantine and Actions.QUARANTINE in agreed.actions:
        context.quarantine(_text(plan.quarantine))
    return _CONTINUE


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")
