"""One file per policy daemon: its man page, and the lines that put a check behind the protocol.

A daemon shall answer soon after it was started (a restart of Postfix's machine, socket activation), and most of that
time goes into importing. Two switches, thrown before anything else is imported, take 0.04 s off 0.3 s (measured):
nothing made while modules load is garbage, and pydantic need not look for plug-ins in every installed package.
"""

import gc
import os
import sys

if os.path.basename(sys.argv[0]).startswith("vaglio-"):  # noqa: PTH119  # not a test or a tool that imports us
    gc.disable()  # vaglio.daemon.main switches it on
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
