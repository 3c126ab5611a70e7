"""The programs of the benchmark of scoring take settings of ours, ask nobody, and what they answer is understood."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
from collections.abc import Collection, Iterator
from pathlib import Path

import pytest

from bench import scoreservers
from bench.corpora import LABELS
from bench.scoreservers import Bogofilter, Command, Rspamd, Score, Scored, Spamassassin, Spamd, Took, Vaglio
from bench.servers import BenchError
from vaglio.config.load import load


@pytest.fixture
def spamassassin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Spamassassin:
    """Return settings that are made of a package's, wherever the tests run."""
    site = tmp_path / "package"
    site.mkdir()
    for name in ("init.pre", "v400.pre", "65_debian.cf", "local.cf"):
        (site / name).write_text(f"# {name}\n")
    monkeypatch.setattr(scoreservers, "SITE", site)
    monkeypatch.setattr(scoreservers, "_hand_over", lambda *_: None)
    return Spamassassin(tmp_path / "sa", [0])


def test_our_daemon_begins_with_what_was_learned_asks_no_list_and_refuses_nothing(tmp_path: Path) -> None:
    learned = tmp_path / "bayes.sqlite"
    learned.write_text("learned")
    command = Score(tmp_path / "score", [0], learned).command()
    assert command[:2] == ["unshare", "--net"]
    (config,) = (word.removeprefix("--config=") for word in command if word.startswith("--config="))
    settings = load(Path(config), {}).config.score
    assert (settings.links.enabled, settings.reject, settings.engine) == (False, 0, "native")
    assert (tmp_path / "score/bayes.sqlite").read_text() == "learned"


def test_spamassassin_gets_the_package_s_settings_and_not_the_machine_s(spamassassin: Spamassassin) -> None:
    assert {file.name for file in spamassassin.site.iterdir()} == {"init.pre", "v400.pre", "65_debian.cf", "local.cf"}
    own = (spamassassin.site / "local.cf").read_text()
    assert f"bayes_path {spamassassin.directory}/learned/bayes\n" in own
    assert "bayes_auto_learn 0\n" in own


def test_spamd_judges_by_local_tests_with_what_was_learned(tmp_path: Path, spamassassin: Spamassassin) -> None:
    command = Spamd(tmp_path / "spamd", [0], spamassassin).command()
    assert {"--local", "--nouser-config", "--max-children=1", f"--siteconfigpath={spamassassin.site}"} < set(command)
    assert command[:2] == ["unshare", "--net"]


_SAID = (b"SPAMD/1.1 0 EX_OK\r\nSpam: False ; -1.5 / 5.0\r\n\r\nALL_TRUSTED", b"SPAMD/1.0 76 Bad header\r\n")


@pytest.fixture
def answering(tmp_path: Path, spamassassin: Spamassassin) -> Iterator[tuple[Spamd, list[bytes]]]:
    """Return a spamd in whose place a thread answers twice, and what it was asked."""
    server, asked = Spamd(tmp_path / "spamd", [0], spamassassin), list[bytes]()
    (server.directory / "log").touch()
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(server.path))
    listener.listen()

    def serve() -> None:
        for said in _SAID:
            connection, _ = listener.accept()
            with connection:
                asked.append(b"".join(iter(lambda: connection.recv(4096), b"")))  # noqa: B023  # at once
                connection.sendall(said)

    thread = threading.Thread(target=serve)
    thread.start()
    yield server, asked
    thread.join()
    listener.close()


def test_spamd_is_asked_as_by_spamc(answering: tuple[Spamd, list[bytes]]) -> None:
    server, asked = answering
    assert server.judge(b"Subject: a\n\nb\n").score == -1.5
    assert asked == [b"SYMBOLS SPAMC/1.5\r\nContent-length: 14\r\n\r\nSubject: a\n\nb\n"]
    with pytest.raises(BenchError, match="Bad header"):
        server.judge(b"")


def test_rspamd_is_one_milter_that_asks_nobody(tmp_path: Path) -> None:
    server = Rspamd(tmp_path, [0])
    assert "milter = yes;" in (tmp_path / "config").read_text()
    assert "self_scan = yes;" in (tmp_path / "config").read_text()
    for module in ("rbl", "surbl", "spf", "dkim", "fuzzy_check"):
        assert (tmp_path / f"override.d/{module}.conf").read_text() == "enabled = false;\n"
    assert f"--var=LOCAL_CONFDIR={tmp_path}" in server.command()


class _Recorded(Vaglio):
    """Commands that are noted down and not run."""

    def __init__(self, directory: Path, said: str = "") -> None:
        super().__init__(directory, [0])
        self.commands: list[tuple[str, ...]] = []
        self._said = said

    def run(self, *command: str, well: Collection[int] = (0,)) -> tuple[str, Took]:
        self.commands.append(command)
        return self._said, Took(1.5, 1.0)


def mails(directory: Path) -> Path:
    for label in LABELS:
        (directory / label).mkdir(parents=True)
        for name in ("1.eml", "2.eml"):
            (directory / label / name).touch()
    return directory


def test_ours_learns_ham_and_spam_and_judges_both(tmp_path: Path) -> None:
    lines = [{"score": 5.2, "ms": 1.5, "bayes": 0.75}, {"score": 0.0, "ms": 2.0, "bayes": None}]
    ours = _Recorded(tmp_path, "".join(f"{json.dumps(line)}\n" for line in lines))
    folder = mails(tmp_path / "mails")
    assert ours.learn(folder) == Took(3.0, 2.0)
    assert [command[-2:] for command in ours.commands] == [(label, f"{folder}/{label}") for label in ("ham", "spam")]
    found = ours.judge(folder)
    assert found == {label: [Scored(5.2, 0.0015, 0.75), Scored(0.0, 0.002)] for label in LABELS}
    assert ours.commands[-1][-3:] == ("--json", "--corpus", f"{folder}/spam")


def test_a_message_that_was_not_judged_ends_it(tmp_path: Path) -> None:
    ours = _Recorded(tmp_path, f"{json.dumps({'score': 5.2, 'ms': 1.5, 'bayes': None})}\n")
    with pytest.raises(BenchError, match="vaglio judged 1 of 2 messages of ham"):
        ours.judge(mails(tmp_path / "mails"))


def test_a_program_that_fails_ends_it_with_what_it_said(tmp_path: Path) -> None:
    class _Failing(Command):
        name = "failing"

    program = _Failing(tmp_path, [0])
    with pytest.raises(BenchError, match=r"(?s)failing ended with status 3:.*no such thing"):
        program.run(sys.executable, "-c", "import sys; sys.stderr.write('no such thing'); sys.exit(3)")
    said, took = program.run(sys.executable, "-c", "print('well')")
    assert said == "well\n"
    assert took.seconds > 0


def test_bogofilter_s_status_is_a_verdict_where_it_judges_and_nowhere_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands = []

    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        commands.append(command)
        (tmp_path / "wordlist.db").write_text("words")
        return subprocess.CompletedProcess(command, 1, "1.eml 0.25\n2.eml 1.0000000000000000\n", "")

    monkeypatch.setattr("bench.scoreservers.subprocess.run", run)
    program, folder = Bogofilter(tmp_path, [0]), mails(tmp_path / "mails")
    found = program.judge(folder)
    assert [one.probability for one in found["spam"]] == [0.25, 1.0]
    with pytest.raises(BenchError, match="status 1"):
        program.learn(folder)
    assert commands[-1][-6:] == ["-C", "-d", str(tmp_path), "-n", "-B", f"{folder}/ham"]
    assert program.disk() == 5
