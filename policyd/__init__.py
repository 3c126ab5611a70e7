"""One file per policy daemon: its man page, and the lines that put a check behind the protocol."""

from vaglio.quick import begin

begin()
