"""Sessions of other filters' test suites: some without HELO or recipients, with macros in odd places, with several
messages. Each is understood, by either engine.
"""

from __future__ import annotations

import pytest

from tests.milter.daemons import TrivialMilter
from tests.milter.transcripts import DATA, Transcript, replay, transcripts

ALL = [one for suite in ("opendkim", "opendmarc") for one in transcripts(suite)]


@pytest.mark.skipif(not ALL, reason=f"the transcripts are not there: {DATA} (VAGLIO_DATA says where)")
@pytest.mark.parametrize("transcript", ALL, ids=lambda one: one.name)
def test_sessions_of_others_are_understood(milter: TrivialMilter, transcript: Transcript) -> None:
    messages = 0
    with milter.mta() as mta:
        for judged in replay(mta, transcript):
            messages += 1
            assert judged.outcome.taken
            assert not judged.outcome.edits, "nothing of ours is in them, and nothing in our name"
        assert mta.quit() == []
    assert messages == [step[0] for step in transcript.steps].count("eom")
