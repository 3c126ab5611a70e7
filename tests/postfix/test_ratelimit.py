"""Rate limits as a real Postfix and its users see them: submission with TLS and a login, Postfix, vaglio-ratelimit,
Postfix's answer. The submission services are those of examples/postfix/master.cf.ratelimit.

The part of a login behind its @ says which limit it has; each test has logins of its own.
"""

from __future__ import annotations

import itertools
import re
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from lab import submission
from lab.smtp import Answer, Client, letter
from lab.vaglio import configure
from lab.waiting import Unavailable, until
from lab.world import TIZIO, TIZIOS_CONFIG, World, ratelimit_toml

pytestmark = pytest.mark.root

LIMIT = 5
CROWD, EACH, CROWD_LIMIT = 10, 8, 50
"""Sessions at once, messages of each, and how many of them may get in."""

RULES = f"""\
workers = 2

[[ratelimit.rule]]
name = "per-user"
users = ["defer.test"]
limits = ["{LIMIT}/1h", "1000/1d"]

[[ratelimit.rule]]
name = "crowd"
users = ["crowd.test"]
count = "messages"
limits = ["{CROWD_LIMIT}/1h"]

[[ratelimit.rule]]
name = "refuses"
users = ["reject.test"]
limits = ["1/1h"]
action = "reject"

[[ratelimit.rule]]
name = "holds"
users = ["hold.test"]
limits = ["1/1h"]
action = "hold"

[[ratelimit.rule]]
name = "tells"
users = ["log.test"]
limits = ["1/1h"]
action = "log"

[[ratelimit.rule]]
name = "spread"
users = ["spread.test"]
count = "distinct_recipients"
limits = ["2/1h"]
action = "reject"

[[ratelimit.rule]]
name = "dead-addresses"
users = ["dead.test"]
count = "refused_share"
limits = ["5%/1h"]
at_least = 3
action = "hold"
"""
CLIENT = "198.51.100.66"
PASSWORD = "parola d'ordine"
UNWANTED, LARGEST = "unwanted@tizio.it", 20_000
SETTINGS = {
    "smtpd_sender_restrictions": f"check_sender_access inline:{{ {UNWANTED}=REJECT }}",
    "message_size_limit": f"{LARGEST}",
    "relay_domains": "known.test",
    "relay_recipient_maps": "inline:{ only@known.test=OK }",
}
OVER = "4.7.1 <END-OF-MESSAGE>: End-of-data rejected: Sending limit: {} would exceed {} recipients in 1h ("
REFERENCE = re.compile(r"; ref ([0-9A-HJKMNP-TV-Z]{4}-[0-9A-HJKMNP-TV-Z]{4})$")
NO_ANSWER = "problem talking to server"

Login = Callable[[str], str]


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    services = submission.services(about_recipients=True)
    tizio = replace(TIZIO, settings={**TIZIO.settings, **SETTINGS}, submission=services)
    try:
        world = World({"scope": '"listed"'}, ratelimit=ratelimit_toml(RULES), tizio=tizio)
    except Unavailable as error:
        pytest.skip(f"no real submission here: {error}")
    with world:
        yield world


_numbers = itertools.count()


@pytest.fixture
def login(world: World) -> Login:
    """Makes a login that nobody has used before, with the limits of this kind."""
    assert world.ratelimit.process.returncode is None, world.ratelimit.log()

    def made(kind: str) -> str:
        name = f"u{next(_numbers)}@{kind}.test"
        world.tizio.add_login(name, PASSWORD)
        return name

    return made


def session(world: World, login: str, port: int = 587) -> Client:
    return world.submit(CLIENT, login, PASSWORD, port)


def submit(world: World, login: str, recipients: list[str], count: int = 1) -> list[Answer]:
    """Send so many messages in one session; return what became of each."""
    text = letter(login, recipients[0], "to you all")
    with session(world, login) as client:
        return [client.send(login, recipients, text).last for _ in range(count)]


def codes(answers: list[Answer]) -> list[int]:
    return [answer.code for answer in answers]


def decided(world: World, login: str, count: int) -> list[dict[str, str]]:
    """Return what was decided about messages of a login, at least ``count`` times; the lines come a moment later."""

    def found() -> list[dict[str, str]]:
        return [one for one in world.ratelimit.decisions(from_=login) if one["reason"] != "counted-later"]

    return until(lambda: (all_ := found())[count - 1 :] and all_, f"{count} decisions about {login}")


def restart(world: World) -> None:
    assert world.ratelimit.process.stop() == 0
    world.ratelimit.start()


def kill_workers(world: World) -> None:
    """End both workers at once, as the kernel does when memory is short, and await two others."""

    def workers() -> set[int]:
        return {*world.ratelimit.process.family()} - {world.ratelimit.process.pid}

    until(lambda: len(workers()) == 2, "two workers")
    old = workers()
    world.ratelimit.process.signal(signal.SIGKILL, *old)
    until(lambda: len(now := workers()) == 2 and not now & old, "two new workers")


# --- the limit ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("port", [587, 465])
def test_beyond_the_limit_the_end_of_the_message_hears_why(
    world: World, login: Login, recipient: str, port: int
) -> None:
    user = login("defer")
    with session(world, user, port) as client:
        answers = [client.send(user, [recipient], letter(user, recipient, "mine")).last for _ in range(LIMIT + 2)]
    assert codes(answers) == [250] * LIMIT + [450] * 2
    assert answers[-1].text.startswith(OVER.format(user, LIMIT))
    found = decided(world, user, LIMIT + 2)
    assert [one["reason"] for one in found] == ["within-limits"] * LIMIT + ["over-limit"] * 2
    assert [REFERENCE.findall(answer.text) for answer in answers[LIMIT:]] == [[one["ref"]] for one in found[LIMIT:]]
    until(lambda: len(world.caio.mailbox(recipient)) == LIMIT, "the accepted messages")


def test_one_account_at_its_limit_stops_no_other(world: World, login: Login, recipient: str) -> None:
    one, other = login("defer"), login("defer")
    assert submit(world, one, [recipient], LIMIT + 1)[-1].code == 450
    assert codes(submit(world, other, [recipient], LIMIT)) == [250] * LIMIT


def test_a_message_counts_all_its_recipients_once_and_a_refused_one_none(
    world: World, login: Login, recipient: str
) -> None:
    user, three = login("defer"), [f"{letter_}-{recipient}" for letter_ in "abc"]
    assert codes(submit(world, user, three, 2)) == [250, 450]  # 3 of 5, and 3 more would be too many
    assert codes(submit(world, user, three[:2], 2)) == [250, 450]  # 5 of 5
    assert [one["used"] for one in decided(world, user, 4)] == ["0", "3", "3", "5"]
    for one in three:
        until(lambda one=one: world.caio.mailbox(one), f"the message for {one}")  # type: ignore[misc]


def test_a_message_that_something_else_refuses_counts_for_nothing(
    world: World, login: Login, recipient: str
) -> None:
    user = login("defer")
    with session(world, user) as client:
        assert client.send(UNWANTED, [recipient], letter(UNWANTED, recipient, "not mine")).last.code == 554
        large = letter(user, recipient, "large", "Ciao!\n" * LARGEST)
        assert client.send(user, [recipient], large).last.code == 552
        assert client.ask(user, recipient)[0].code == 250  # and then thought better of it
    assert codes(submit(world, user, [recipient], LIMIT + 1)) == [250] * LIMIT + [450]


def test_each_message_of_a_pipelining_session_counts(world: World, login: Login, recipient: str) -> None:
    user, text = login("defer"), letter(login("defer"), recipient, "in one go").replace("\n", "\r\n")
    envelope = (f"MAIL FROM:<{user}>", f"RCPT TO:<{recipient}>", "DATA")
    with session(world, user) as client:
        assert codes([*client.pipeline(*envelope)]) == [250, 250, 354]
        ends = []
        for _ in range(LIMIT + 1):
            # RFC 2920 3.1: the end of a message may be in one group with the next one, up to its DATA.
            end, *others = client.pipeline(f"{text}.", "RSET", *envelope)
            ends.append(end)
            assert codes(others) == [250, 250, 250, 354]
        ends += client.pipeline(f"{text}.")
    assert codes(ends) == [250] * LIMIT + [450] * 2


def crowd(world: World, user: str, recipient: str, meanwhile: Callable[[], object]) -> list[int]:
    """Send by many sessions at once; return what they heard."""
    with ThreadPoolExecutor(CROWD) as pool:
        runs = [pool.submit(submit, world, user, [f"{number}-{recipient}"], EACH) for number in range(CROWD)]
        meanwhile()
        return codes([answer for run in runs for answer in run.result()])


def test_sessions_at_once_on_two_workers_get_exactly_the_limit(world: World, login: Login, recipient: str) -> None:
    user = login("crowd")
    answers = crowd(world, user, recipient, lambda: None)
    assert (answers.count(250), answers.count(450)) == (CROWD_LIMIT, CROWD * EACH - CROWD_LIMIT)
    assert submit(world, user, [recipient])[0].code == 450


def test_workers_killed_in_the_midst_of_it_let_in_no_more(world: World, login: Login, recipient: str) -> None:
    user = login("crowd")

    def kill() -> None:
        decided(world, user, CROWD)
        kill_workers(world)

    answers = crowd(world, user, recipient, kill)
    assert answers.count(250) + answers.count(450) == CROWD * EACH
    # Postfix asks again a second later. A message counts twice then if the login sent more than usage.RECENT others in
    # that second: one message of a session at most.
    assert CROWD_LIMIT - CROWD <= answers.count(250) <= CROWD_LIMIT
    assert submit(world, user, [recipient])[0].code == 450


# --- the daemon goes away -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("trouble", [restart, kill_workers])
def test_what_was_counted_stays_counted(
    world: World, login: Login, recipient: str, trouble: Callable[[World], None]
) -> None:
    user = login("defer")
    text = letter(user, recipient, "before and after")
    with session(world, user) as client:
        before = [client.send(user, [recipient], text).last for _ in range(3)]
        trouble(world)
        after = [client.send(user, [recipient], text).last for _ in range(LIMIT)]
    assert codes(before + after) == [250] * LIMIT + [450] * 3


def test_without_the_daemon_mail_flows_and_the_limit_holds_again_when_it_is_back(
    world: World, login: Login, recipient: str
) -> None:
    user = login("defer")
    assert submit(world, user, [recipient], LIMIT + 1)[-1].code == 450
    complaints = world.tizio.log().count(NO_ANSWER)
    assert world.ratelimit.process.stop() == 0
    try:
        assert submit(world, user, [f"free-{recipient}"])[0].code == 250
    finally:
        world.ratelimit.start()
    assert world.tizio.log().count(NO_ANSWER) > complaints
    assert submit(world, user, [recipient])[0].code == 450
    assert until(lambda: world.caio.mailbox(f"free-{recipient}"), "the message")


# --- what a rule does -----------------------------------------------------------------------------------------------


def test_a_rule_may_refuse_for_good(world: World, login: Login, recipient: str) -> None:
    user = login("reject")
    _, answer = submit(world, user, [recipient], 2)
    assert (answer.code, answer.text.partition(" ")[0]) == (554, "5.7.1")
    assert f"Sending limit: {user} would exceed 1 recipient in 1h" in answer.text


def test_a_rule_may_put_mail_on_hold(world: World, login: Login, recipient: str) -> None:
    user = login("hold")
    free, held = submit(world, user, [recipient], 2)
    assert [free.code, held.code] == [250, 250]
    name = held.text.split()[-1]
    assert until(lambda: name in world.tizio.held(), "the message on hold")
    assert free.text.split()[-1] not in world.tizio.held()
    assert [one["verdict"] for one in decided(world, user, 2)] == ["pass", "hold"]


def test_a_rule_may_only_tell(world: World, login: Login, recipient: str) -> None:
    user = login("log")
    assert codes(submit(world, user, [recipient], 3)) == [250] * 3
    assert [one["reason"] for one in decided(world, user, 3)] == ["within-limits", "over-limit", "over-limit"]
    found = f"1 recipient counted, this message adds 1, 1/1h allowed; from {CLIENT}, to caio.it"
    alarm = f"WARNING '{user}' is beyond its limit tells: {found}"
    assert world.ratelimit.log().count(alarm) == 1


def test_a_rule_about_single_recipients_refuses_one_of_them_and_the_message_goes_to_the_others(
    world: World, login: Login, recipient: str
) -> None:
    user, three = login("spread"), [f"{letter_}-{recipient}" for letter_ in "abc"]
    with session(world, user) as client:
        done = client.send(user, three, letter(user, recipient, "to you all"))
        assert codes([*done.recipients]) == [250, 250, 554]
        assert done.last.code == 250
        assert codes([*client.ask(user, *three)]) == [250, 250, 554]  # who was written to before may be again
    assert "different recipients" in done.recipients[2].text
    assert until(lambda: world.caio.mailbox(three[1]), "the message")
    assert world.caio.mailbox(three[2]) == []


def test_spam_to_one_unknown_recipient_each_is_seen_at_once(world: World, login: Login, recipient: str) -> None:
    """Such messages have no end: that Postfix begins the session's next one tells, by the names that it gives them."""
    user = login("dead")
    with session(world, user) as client:
        for number in range(4):
            assert client.ask(user, f"nobody{number}@known.test")[-1].code == 550
            client.command("RSET")

        def held() -> bool:
            name = client.send(user, [recipient], letter(user, recipient, "one more")).last.text.split()[-1]
            return name in world.tizio.held()

        assert until(held, "the message on hold", step=0.5)


def test_a_rehearsal_refuses_nobody_and_says_whom_it_would(world: World, login: Login, recipient: str) -> None:
    user = login("defer")
    configure(world.space, ratelimit_toml(f'mode = "rehearse"\n{RULES}'), TIZIOS_CONFIG)
    restart(world)
    try:
        assert codes(submit(world, user, [recipient], LIMIT + 1)) == [250] * (LIMIT + 1)
        last = decided(world, user, LIMIT + 1)[-1]
        assert (last["verdict"], last["rehearsed"], last["reason"]) == ("pass", "defer", "over-limit")
    finally:
        configure(world.space, ratelimit_toml(RULES), TIZIOS_CONFIG)
        restart(world)


# --- who is not asked about -----------------------------------------------------------------------------------------


def test_mail_from_outside_and_of_the_system_is_not_asked_about(world: World, recipient: str) -> None:
    outside, own = f"outside-{recipient}", f"system-{recipient.replace('caio', 'tizio')}"
    local = recipient.replace("caio", "tizio")
    with Client(world.space, TIZIO.address, "203.0.113.25") as client:
        assert client.send(outside, [local], letter(outside, local, "from outside")).last.code == 250
    world.tizio.sendmail(own, local, letter(own, local, "from cron"))
    until(lambda: len(world.tizio.mailbox(local)) == 2, "both messages")
    assert world.ratelimit.decisions(from_=outside) == world.ratelimit.decisions(from_=own) == []


def test_a_wrong_password_gets_nobody_in(world: World, login: Login) -> None:
    user = login("defer")
    with Client(world.space, TIZIO.address, CLIENT, port=587, certificate=world.tizio.certificate) as client:
        assert client.log_in(user, "a guess").code == 535
        assert client.command(f"MAIL FROM:<{user}>").code == 250
        assert client.command("RCPT TO:<caio@caio.it>").code == 554
