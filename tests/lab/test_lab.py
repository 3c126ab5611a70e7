"""The lab's own pure parts: zones, logs, the table, the policy client, submission services, the judges of scenes."""

from __future__ import annotations

import re
import socket
from collections import Counter
from dataclasses import replace

import pytest
from dnslib import DNSRecord

from lab import hijack, lessons, milters, submission
from lab.dns import Zones
from lab.logs import Delivery, decisions, deliveries, pairs
from lab.policy import PolicyClient, encode
from lab.postfix import MailHost
from lab.retold import trials
from lab.scenes import PASSWORDS, PHISHING, SCENES, TIZIOS_POSTFIX, TRIED, Attempt, Scene
from lab.story import Decision, Played, Seen, end, forged, judge
from lab.table import table
from lab.waiting import LabError, until

ZONE = """\
$TTL 60
$ORIGIN tizio.it.
mail IN A 192.0.2.25
a.b  IN A 192.0.2.1
www  IN CNAME mail.tizio.it.
"""


@pytest.mark.parametrize(
    ("name", "kind", "code", "values"),
    [
        ("mail.tizio.it", "A", "NOERROR", ["192.0.2.25"]),
        ("MAIL.Tizio.IT.", "A", "NOERROR", ["192.0.2.25"]),
        ("mail.tizio.it", "MX", "NOERROR", []),
        ("b.tizio.it", "A", "NOERROR", []),  # RFC 8020: something exists below it
        ("il.tizio.it", "A", "NXDOMAIN", []),
        ("www.tizio.it", "A", "NOERROR", ["mail.tizio.it.", "192.0.2.25"]),
        ("example.com", "A", "NXDOMAIN", []),
    ],
)
def test_a_zone_answers(name: str, kind: str, code: str, values: list[str]) -> None:
    found, records = Zones([ZONE]).answer(name, kind)
    assert (found, [str(record.rdata) for record in records]) == (code, values)


def test_a_failing_name_answers_servfail() -> None:
    zones = Zones([ZONE])
    zones.failing.add("mail.tizio.it")
    assert zones.answer("mail.tizio.it", "A") == ("SERVFAIL", [])


def test_a_zone_that_parrots_gives_one_address_to_every_question() -> None:
    zones = Zones([ZONE])
    zones.parrots["tizio.it"] = "127.255.255.254"
    for name in ("mail.tizio.it", "nobody.tizio.it", "tizio.it"):
        assert [str(record.rdata) for record in zones.answer(name, "A")[1]] == ["127.255.255.254"]
    assert zones.answer("mail.tizio.it", "TXT") == ("NOERROR", [])
    assert zones.answer("mail.untizio.it", "A") == ("NXDOMAIN", [])


def test_a_silent_zone_hears_and_says_nothing() -> None:
    zones = Zones([ZONE])
    zones.silent.add("tizio.it")
    query = DNSRecord.question("mail.tizio.it")
    assert zones.reply(bytes(query.pack())) == ("mail.tizio.it", "A", b"")


def test_a_reply_repeats_the_question_and_its_number() -> None:
    query = DNSRecord.question("mail.tizio.it")
    name, kind, packet = Zones([ZONE]).reply(bytes(query.pack()))
    reply = DNSRecord.parse(packet)
    assert (name, kind, reply.header.id, str(reply.a.rdata)) == ("mail.tizio.it", "A", query.header.id, "192.0.2.25")


def test_every_mail_host_of_the_shipped_zones_has_a_name_that_leads_back() -> None:
    zones = Zones.read()
    for domain in ("tizio.it", "caio.it", "sempronio.it"):
        host = str(zones.answer(domain, "MX")[1][0].rdata).split()[-1]
        address = str(zones.answer(host, "A")[1][0].rdata)
        reverse = ".".join(reversed(address.split("."))) + ".in-addr.arpa"
        assert [str(record.rdata) for record in zones.answer(reverse, "PTR")[1]] == [host]


LOG = """\
Nov 22 02:58:19 mail postfix/qmgr[138]: 2EC693A: from=<tizio@tizio.it>, size=273, nrcpt=1 (queue active)
Nov 22 02:58:19 mail postfix/smtp[147]: 2EC693A: to=<caio@caio.it>, relay=mail.caio.it[203.0.113.25]:25, delay=0.1, \
delays=0/0/0/0.1, dsn=4.7.1, status=deferred (host mail.caio.it[203.0.113.25] said: 450 4.7.1 <caio@caio.it>: \
Recipient address rejected: Greylisted (really); ref G7K2-9QFD (in reply to RCPT TO command))
Nov 22 02:58:27 mail postfix/smtp[147]: 2EC693A: to=<caio@caio.it>, relay=mail.caio.it[203.0.113.25]:25, delay=8.2, \
delays=8/0/0/0.2, dsn=2.0.0, status=sent (250 2.0.0 Ok: queued as 13BED72)
"""


def test_deliveries_are_read_from_a_postfix_log() -> None:
    refused = "450 4.7.1 <caio@caio.it>: Recipient address rejected: Greylisted (really); ref G7K2-9QFD"
    assert deliveries(LOG) == [
        Delivery("2EC693A", "caio@caio.it", 0.1, "deferred", refused),
        Delivery("2EC693A", "caio@caio.it", 8.2, "sent", "250 2.0.0 Ok: queued as 13BED72"),
    ]


def test_pairs_may_be_quoted() -> None:
    assert pairs(r'<6>from=a@b.it note="two \"words\" \\" empty= ref=G7K2-9QFD') == {
        "from": "a@b.it", "note": r'two "words" \\'[:-1], "empty": "", "ref": "G7K2-9QFD",
    }  # fmt: skip


def test_only_lines_with_a_verdict_are_decisions() -> None:
    assert list(decisions("level=info message=ready\nverdict=pass reason=known\n")) == [
        {"verdict": "pass", "reason": "known"}
    ]


def test_a_table_wraps_its_cells_and_names_its_sections() -> None:
    text = table(("a", "b"), [("One", [("x y z", "1\n2"), ("", "w")]), ("Two", [])], (1, 1), 13)
    assert text.split("\n") == [
        "a     | b",
        "======+======",
        "One",
        "------+------",
        "x y z | 1",
        "      | 2",
        "------+------",
        "      | w",
        "======+======",
        "Two",
        "------+------",
        "",
        "======+======",
    ]


def test_a_column_is_as_wide_as_its_longest_word() -> None:
    text = table(("a", "b"), [("t", [("x y", "abcdefgh ij")])], (1, 1), 9)
    assert "x y | abcdefgh\n    | ij" in text


def test_the_policy_client_sends_one_request_and_reads_one_answer() -> None:
    ours, theirs = socket.socketpair()
    with PolicyClient(ours) as client, theirs:
        theirs.sendall(b"action=DUNNO\n\n")
        assert client.ask(sender="") == "DUNNO"
        received = theirs.recv(4096)
        assert received.startswith(b"request=smtpd_access_policy\n")
        assert b"\nsender=\n" in received
        assert received.endswith(b"\n\n")


def test_the_policy_client_tells_a_hang_up_from_an_answer() -> None:
    ours, theirs = socket.socketpair()
    with PolicyClient(ours) as client, theirs:
        theirs.shutdown(socket.SHUT_WR)
        with pytest.raises(EOFError, match="without an answer"):
            client.ask()


def test_a_request_ends_with_an_empty_line() -> None:
    assert encode({"request": "smtpd_access_policy", "size": "0"}) == b"request=smtpd_access_policy\nsize=0\n\n"


def test_settings_of_a_mail_host_come_before_the_common_ones() -> None:
    host = MailHost("mail.caio.it", "203.0.113.25", "caio.it", {"in_flow_delay": "3s"})
    lines = host.main_cf("/x").splitlines()
    assert "in_flow_delay = 3s" in lines
    assert "in_flow_delay = 0" not in lines
    assert "queue_directory = /x/queue" in lines


def test_waiting_ends_with_the_first_true_value() -> None:
    values = iter([0, "", "there"])
    assert until(lambda: next(values), "a value", step=0) == "there"


def test_waiting_in_vain_says_for_what() -> None:
    with pytest.raises(LabError, match="in vain for godot"):
        until(lambda: False, "godot", seconds=0, step=0)


TOLD = ("vaglio-dnsbl pass: not-listed", r"vaglio-greylist pass: (known|retried)")
SCENE = Scene("x", TIZIOS_POSTFIX, "a@tizio.it", "b@caio.it", (Attempt("^250 ", TOLD),), True, ("X-G: d",))
DECIDED = (Decision("vaglio-dnsbl pass: not-listed"), Decision("vaglio-greylist pass: known"))
AS_TOLD = Seen(0, "250 2.0.0 Ok", DECIDED)
MESSAGE = b"Received: here\nX-G:\n delayed\nSubject: x\n\nX-G: delayed\n"


def test_a_scene_that_went_as_told_has_nothing_wrong() -> None:
    assert judge(SCENE, (AS_TOLD,), (MESSAGE,)) == ()


def test_a_warning_that_a_scene_tells_of_must_come() -> None:
    scene = replace(SCENE, warning="is suspended")
    assert judge(scene, (AS_TOLD,), (MESSAGE,), "the list x is suspended") == ()
    assert judge(scene, (AS_TOLD,), (MESSAGE,)) == ("Vaglio's log has no 'is suspended'",)


def test_a_header_that_was_to_go_must_be_gone() -> None:
    scene = replace(SCENE, without="X-Forged: ")
    assert judge(scene, (AS_TOLD,), (MESSAGE,)) == ()
    assert judge(scene, (AS_TOLD,), (b"X-Forged: it stays\n" + MESSAGE,)) == ("the header 'X-Forged: it stays'",)


@pytest.mark.parametrize(
    ("seen", "landed", "wrong"),
    [
        ((), (MESSAGE,), "0 attempts instead of 1"),
        ((AS_TOLD, AS_TOLD), (MESSAGE,), "2 attempts instead of 1"),
        ((Seen(0, "450 4.7.1 no", DECIDED),), (MESSAGE,), "attempt 1: Postfix answered '450 4.7.1 no'"),
        ((Seen(0, "250 Ok", DECIDED[:1]),), (MESSAGE,), "attempt 1: Vaglio decided"),
        ((Seen(0, "250 Ok", ()),), (MESSAGE,), "attempt 1: Vaglio decided"),
        ((Seen(0, "250 Ok", (DECIDED[0], Decision(f"{DECIDED[1].what}!"))),), (MESSAGE,), "attempt 1: Vaglio decided"),
        ((Seen(0, "250 Ok", (DECIDED[0], Decision(DECIDED[1].what, "A"))),), (MESSAGE,), "attempt 1: vaglio why A"),
        ((AS_TOLD,), (), "0 messages landed instead of 1"),
        ((AS_TOLD,), (MESSAGE, MESSAGE), "2 messages landed instead of 1"),
        ((AS_TOLD,), (b"X-G: delayed\nX-G: delayed\n\n",), "not exactly one header 'X-G: d'"),
        ((AS_TOLD,), (b"Subject: x\n\nX-G: delayed\n",), "not exactly one header 'X-G: d'"),
    ],
)
def test_what_was_not_as_told_is_said(seen: tuple[Seen, ...], landed: tuple[bytes, ...], wrong: str) -> None:
    said = judge(SCENE, seen, landed)
    assert len(said) == 1
    assert said[0].startswith(wrong)


@pytest.mark.parametrize(
    ("answer", "landed", "fate"),
    [
        ("250 2.0.0 Ok", (MESSAGE,), "in INBOX (signed)"),
        ("450 4.7.1 no", (), "refused for now (signed)"),
        ("550 5.7.1 no", (), "refused (signed)"),
        ("250 2.0.0 Ok", (), "lost (signed)"),
    ],
)
def test_the_end_of_a_scene_is_what_was_seen_of_it(answer: str, landed: tuple[bytes, ...], fate: str) -> None:
    scene = replace(SCENE, actor="Tizio", gist="signed")
    assert end(Played(scene, MESSAGE, ((0.0, answer, []),), landed, "", 0)) == ("Tizio", fate)


def test_what_lands_in_another_folder_is_said() -> None:
    assert judge(SCENE, (AS_TOLD,), (MESSAGE,), elsewhere=1) == ("1 messages landed in another folder than INBOX",)


def test_vaglio_why_must_say_what_a_scene_says_of_it() -> None:
    scene = replace(SCENE, why=(r"\+1 There is no text", "of 5"))
    said = Seen(0, "250 Ok", (Decision(DECIDED[0].what, "A", "It scored 1 of 5: +1 There is no text."), DECIDED[1]))
    assert judge(scene, (said,), (MESSAGE,)) == ()
    assert [wrong.split(",")[0] for wrong in judge(scene, (AS_TOLD,), (MESSAGE,))] == [
        r"vaglio why does not say '\\+1 There is no text'", "vaglio why does not say 'of 5'",
    ]  # fmt: skip


@pytest.mark.parametrize("zone", [f"{name}.lab.test" for name in ("bl", "other", "suspicious", "allow", "silent")])
def test_every_blocklist_of_the_lab_has_the_entries_that_a_list_in_order_has(zone: str) -> None:
    zones = Zones.read()
    assert [str(record.rdata) for record in zones.answer(f"2.0.0.127.{zone}", "A")[1]] == ["127.0.0.2"]
    assert zones.answer(f"1.0.0.127.{zone}", "A")[0] == "NXDOMAIN"


def test_the_list_of_links_has_the_entries_that_one_in_order_has_and_a_link_of_the_story() -> None:
    zones = Zones.read()
    codes = {name: zones.answer(f"{name}.uri.lab.test", "A") for name in ("test", "invalid", "conto-verifica.example")}
    assert {name: [str(record.rdata) for record in found] for name, (_, found) in codes.items()} == {
        "test": ["127.0.0.2"], "invalid": [], "conto-verifica.example": ["127.0.0.4"],
    }  # fmt: skip
    assert "//conto-verifica.example/" in PHISHING.raw


def test_every_scene_expects_something() -> None:
    assert all(attempt.decided for scene in SCENES for attempt in scene.attempts)
    assert len({scene.title for scene in SCENES}) == len(SCENES)


def test_whoever_logs_in_has_a_password() -> None:
    assert {scene.user for scene in SCENES} - {""} <= PASSWORDS.keys()


def test_scenes_that_are_tried_again_are_some_that_a_chain_judged() -> None:
    assert set(TRIED) <= set(SCENES)
    assert all(any("vaglio-chain" in what for what in scene.attempts[-1].decided) for scene in TRIED)


SIGNED = b"Received: x\nDKIM-Signature: v=1; b=1\nDKIM-Signature: v=1; b=2\nFrom: <a@tizio.it>\n\nCiao!\n"


def test_a_forger_takes_the_last_signature_and_all_below_it_but_the_text() -> None:
    copy = forged([MESSAGE, SIGNED.replace(b"v=1", b"v=0"), SIGNED, MESSAGE], "Pay me")
    assert copy == SIGNED.removeprefix(b"Received: x\n").replace(b"Ciao!", b"Pay me")


def test_what_users_send_is_tried_as_it_left_and_as_it_arrived() -> None:
    left, arrived = trials(replace(SCENE, login="m@mevio.it"), b"sent", [b"landed\n"])
    assert (left.chain, left.message, left.options[-1]) == ("outbound", b"sent", "m@mevio.it")
    assert (arrived.chain, arrived.message, "--login" in arrived.options) == ("inbound", b"landed\n", False)


def test_what_others_send_is_tried_as_they_sent_it() -> None:
    [trial] = trials(replace(SCENE, way="198.51.100.30"), b"sent", [b"landed"])
    assert (trial.chain, trial.message, trial.options[:2]) == (
        "inbound", b"sent", ("--ip", "mail.sempronio.it[198.51.100.30]"),
    )  # fmt: skip


# --- submission -----------------------------------------------------------------------------------------------------


def test_the_shipped_submission_services_are_taken_without_their_chroot() -> None:
    text, shipped = submission.services(), submission.EXAMPLE.read_text()
    services = re.compile(r"^(submissions?) +inet +n +- +(\w) ", re.MULTILINE)
    assert services.findall(shipped) == [("submission", "y"), ("submissions", "y")]
    assert services.findall(text) == [("submission", "n"), ("submissions", "n")]
    assert len(text) == len(shipped)


def test_the_lines_about_recipients_take_the_place_of_the_empty_lists() -> None:
    lines = submission.services(about_recipients=True).splitlines()
    assert "  -o smtpd_recipient_restrictions=" not in lines
    assert lines.count("  -o { smtpd_recipient_restrictions = check_policy_service {") == 2


def test_signing_services_hand_messages_to_the_outbound_chain() -> None:
    plain, signing = submission.services(), submission.services(signing=True)
    assert signing.replace("  -o smtpd_milters=$vaglio_outbound\n", "") == plain
    blocks = signing.partition("\nsubmission ")[2].split("\nsubmissions ")
    assert [block.rstrip().split("\n")[-1] for block in blocks] == ["  -o smtpd_milters=$vaglio_outbound"] * 2


def test_the_lines_of_one_chain_are_taken_without_those_of_the_other() -> None:
    assert milters.of_chain("inbound").keys() == {"vaglio_inbound", "smtpd_milters", "milter_protocol"}
    assert milters.of_chain("outbound").keys() == {"vaglio_outbound", "non_smtpd_milters", "milter_protocol"}


ROOM = hijack.ROOM
LETTER = "250 2.0.0 Ok: queued as 13BED72"
STOPPED = (
    "450 4.7.1 <END-OF-MESSAGE>: End-of-data rejected: Sending limit: tizio@tizio.it would exceed 20 recipients in 1h "
    "(20 used, this would add 1); there is room again in 1h; ref G7K2-9QFD"
)
STOLEN = hijack.Hijack(
    {hijack.LOGIN: [LETTER] * ROOM + [STOPPED] * (60 - ROOM), hijack.OTHER: [LETTER] * 6},
    {hijack.LOGIN: [hijack.WITHIN] * ROOM + [hijack.OVER] * (60 - ROOM), hijack.OTHER: [hijack.WITHIN] * 6},
    6, "G7K2-9QFD", "There were 20 already.", [f"WARNING {hijack.ALARM} per-user: 20 recipients"],
    "tizio@tizio.it\n  per-user: none of 20 recipients left this hour",
)  # fmt: skip


def test_a_hijack_that_was_stopped_as_told_has_nothing_wrong() -> None:
    assert hijack.judge(STOLEN) == ()
    assert [row[-1] for row in hijack.rows(STOLEN, ())] == ["", "", "yes"]
    assert sorted(Counter(hijack.ends(STOLEN)).values()) == [6, ROOM, 60 - ROOM]


@pytest.mark.parametrize(
    ("seen", "wrong"),
    [
        (
            replace(STOLEN, answers={**STOLEN.answers, hijack.LOGIN: [LETTER] * 12 + [STOPPED] * 48}),
            f"12 of the thief's messages were accepted, not {ROOM}",
        ),
        (
            replace(STOLEN, answers={**STOLEN.answers, hijack.LOGIN: [LETTER] * ROOM + ["450 4.7.1 no"] * (60 - ROOM)}),
            "the thief heard '450 4.7.1 no'",
        ),
        (replace(STOLEN, answers={**STOLEN.answers, hijack.OTHER: [LETTER, STOPPED]}), "Sempronio heard '450 "),
        (replace(STOLEN, decided={**STOLEN.decided, hijack.OTHER: [hijack.OVER]}), "Vaglio decided"),
        (replace(STOLEN, landed=5), "5 messages of Sempronio's landed instead of 6"),
        (replace(STOLEN, why=""), "vaglio why G7K2-9QFD says nothing"),
        (replace(STOLEN, alarms=[]), "0 lines of Vaglio's log say"),
        (replace(STOLEN, alarms=STOLEN.alarms * 2), "2 lines of Vaglio's log say"),
        (replace(STOLEN, quota="tizio@tizio.it: 20 of 20 recipients left"), "vaglio ratelimit quota tizio@tizio.it"),
    ],
)
def test_what_was_not_as_told_of_a_hijack_is_said(seen: hijack.Hijack, wrong: str) -> None:
    said = hijack.judge(seen)
    assert len(said) == 1
    assert said[0].startswith(wrong)
    assert hijack.rows(seen, said)[-1][-1] == "NO"


TAUGHT = lessons.Lessons(lessons.LEARNED, lessons.MOVED, lessons.KNOWN, lessons.STATUS)


def test_lessons_that_went_as_told_have_nothing_wrong() -> None:
    assert lessons.judge(TAUGHT) == ()
    assert [row[-1] for row in lessons.rows(TAUGHT, ())] == ["", "yes"]


@pytest.mark.parametrize(
    ("seen", "wrong"),
    [
        (replace(TAUGHT, inbox="messages: 1 unreadable"), "vaglio learn says 'messages: 1 unreadable', not "),
        (replace(TAUGHT, junk=lessons.KNOWN), "vaglio learn says "),
        (replace(TAUGHT, again=lessons.MOVED), "vaglio learn says "),
        (replace(TAUGHT, status="learned: none"), "vaglio bayes status says 'learned: none', not "),
        (replace(TAUGHT, status=lessons.STATUS.replace("no say", "a say")), "vaglio bayes status says "),
    ],
)
def test_what_was_not_as_told_of_lessons_is_said(seen: lessons.Lessons, wrong: str) -> None:
    said = lessons.judge(seen)
    assert len(said) == 1
    assert said[0].startswith(wrong)
    assert lessons.rows(seen, said)[-1][-1] == "NO"
