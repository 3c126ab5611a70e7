"""What a daemon of the policy protocol loads: each module more makes it answer later after a start."""

from __future__ import annotations

import subprocess
import sys

from vaglio.config.types import DaemonSection
from vaglio.daemon.front import front_for
from vaglio.daemon.policyfront import PolicyFront


def test_a_section_without_an_engine_is_for_the_policy_protocol() -> None:
    assert front_for(DaemonSection.model_validate({"listen": ["unix:/run/x"]})) is PolicyFront


def test_a_policy_daemon_loads_nothing_of_the_milter_protocol_and_no_reader_of_the_journal() -> None:
    program = """
import sys, vaglio_policyd.greylist
from vaglio.config.types import DaemonSection
from vaglio.daemon.front import front_for
front_for(DaemonSection.model_validate({"listen": ["unix:/run/x"]}))
print(*(one for one in sys.modules if one.startswith(("vaglio.milter", "vaglio.journal.query"))))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "\n"
