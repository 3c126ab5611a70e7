"""A milter of pymilter's that does nothing, as well as it can: no event is answered but the end of the message, and of
macros it is told one at most for each.

It is run by the system's Python, which has Debian's python3-milter; nothing of Vaglio is in it. With --no-body it is
not sent bodies either.

    python3 noop_pymilter.py unix:/path [--no-body]
"""
# mypy: ignore-errors
# It is not for the Python that checks types, and pymilter has none.

import os
import sys

import Milter


def silent(name):
    """Return a callback of that name that does nothing, to be called without a reply."""

    def callback(self, *_):  # noqa: ARG001
        return Milter.CONTINUE

    callback.__name__ = name
    return Milter.noreply(callback)


class Noop(Milter.Base):
    """One connection."""

    connect, hello, envfrom, envrcpt, data, eoh = (
        Milter.symlist("i")(silent(name)) for name in ("connect", "hello", "envfrom", "envrcpt", "data", "eoh")
    )
    header, body = silent("header"), silent("body")

    @Milter.symlist("i")
    def eom(self):
        """Let the message pass."""
        return Milter.CONTINUE

    def setsymlist(self, stage, *macros):
        """Ask for macros. That of pymilter 1.0.5 hands bytes to a function that wants text: nothing is negotiated."""
        self._ctx.setsymlist(stage, " ".join(macros))


class Bodiless(Noop):
    """The same, and the mail server keeps bodies to itself."""

    @Milter.nocallback
    def body(self, chunk):
        """Never called."""


if __name__ == "__main__":
    os.umask(0)
    Milter.factory = Bodiless if "--no-body" in sys.argv else Noop
    Milter.runmilter("noop", sys.argv[1], 300)
