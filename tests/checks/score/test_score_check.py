"""The check at work: a message is read, scored by rules, Bayes and results of others, and its header tells of it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence

import pytest

from vaglio.checks.score.check import Context, Score
from vaglio.checks.score.decide import Reason
from vaglio.checks.score.learning import Learner, lesson_of
from vaglio.checks.score.opinion import Opinion
from vaglio.checks.score.rules import Ruleset, load
from vaglio.checks.score.scorer import Scorer
from vaglio.checks.score.settings import BayesSettings, ScoreSettings
from vaglio.examination import Field, Message
from vaglio.facts import Client, Envelope, Facts, Session, Stage, client_of
from vaglio.ports import Kind, Learned, StoreError, TokenStore
from vaglio.store.tokens import MemoryTokens
from vaglio.verdict import Action, AuthResult, Change, Verdict

RULES = """
[[rule]]
symbol = "PRIZE"
score = 6.0
en = "it promises a prize"
it = "promette un premio"
body = 'you have won'
[[rule]]
symbol = "WORSE"
score = 10.0
en = "its subject shouts"
subject = 'MONEY'
case = true
[[rule]]
symbol = "FORGED"
score = 5.0
en = "SPF fails"
fact = "spf=fail"
[[rule]]
symbol = "LEARNED"
score = 5.0
en = "learned as spam"
bayes = [0.9, 1.0]
[[rule]]
symbol = "WANTED"
score = -1.0
en = "learned as wanted"
bayes = [0.0, 0.1]
"""
NOW = 1_790_000_000
STRANGER = client_of("192.0.2.7")
SPAM = b"You have won a very large sum of money, answer at once.\r\n"
HAM = b"The minutes of our meeting of Tuesday are attached below.\r\n"


class Clock:
    def now(self) -> float:
        return NOW

    async def sleep(self, seconds: float) -> None:
        raise AssertionError


OPENED: list[MemoryTokens] = []


@pytest.fixture(autouse=True)
def stores_are_closed() -> Iterator[None]:
    yield
    while OPENED:
        OPENED.pop().close()


class Tokens(MemoryTokens):
    def __init__(self) -> None:
        super().__init__()
        OPENED.append(self)


class Broken(Tokens):
    """A store that fails."""

    def counts(self, ids: Sequence[int]) -> Mapping[int, tuple[int, int]]:
        raise StoreError("the disk is gone")


def ruleset(settings: ScoreSettings) -> Ruleset:
    rules, problems = load([("rules.toml", RULES)], settings)
    assert problems == []
    return rules


def check(
    settings: ScoreSettings, tokens: TokenStore | None = None, warnings: list[str] | None = None,
    authserv_id: str = "", learner: Learner | None = None,
) -> Score:  # fmt: skip
    opinion = Opinion(settings.bayes, tokens, (warnings if warnings is not None else []).append) if tokens else None
    rules = ruleset(settings)
    scorer = Scorer(settings, lambda: rules, Clock(), "mx.caio.it", opinion, learner=learner)
    return Score(settings, Context(scorer, lambda: "G7K2-9QFD", lambda domain: "it" if domain == "caio.it" else "en",
                                   authserv_id))  # fmt: skip


def message(
    body: bytes = HAM, subject: bytes = b" Minutes", more: Sequence[Field] = (), client: Client = STRANGER,
    earlier: Mapping[str, Verdict] | None = None, to: str = "caio@caio.it", size: int = 0,
) -> Message:  # fmt: skip
    headers = [Field(b"From", b" Tizio <tizio@tizio.it>"), Field(b"Subject", subject), *more]
    facts = Facts(client, Envelope("tizio@tizio.it", to, 1), Session(Stage.END_OF_MESSAGE, "mail.tizio.it"))
    return Message(facts, (to,), headers, body, size or len(body), earlier or {})


def judged(score: Score, whole: Message) -> Verdict:
    return asyncio.run(score.examine(whole.facts).verdict(whole))


def taught(number: int) -> MemoryTokens:
    tokens = Tokens()
    for kind, text in ((Kind.SPAM, SPAM), (Kind.HAM, HAM)):
        bodies = [text + b"%d\r\n" % place for place in range(number)]
        tokens.learn([lesson_of([], body, len(body)) for body in bodies], kind, 0)
    return tokens


def test_ham_passes_with_a_score_in_its_header_and_an_entry_for_the_journal() -> None:
    verdict = judged(check(ScoreSettings()), message())
    assert (verdict.action, verdict.reason, verdict.ref) == (Action.PASS, Reason.CLEAN, "G7K2-9QFD")
    assert [(one.name, one.value) for one in verdict.headers] == [
        ("X-Spam-Flag", "NO"), ("X-Spam-Score", "0.0"), ("X-Spam-Status", "No, score=0.0 required=5.0\n\ttests=none"),
    ]  # fmt: skip
    assert verdict.facts["spam"] is False


def test_spam_passes_and_says_so() -> None:
    verdict = judged(check(ScoreSettings()), message(SPAM))
    assert (verdict.action, verdict.reason, verdict.reply) == (Action.PASS, Reason.SPAM, None)
    assert verdict.headers[0].value == "YES"
    assert verdict.facts["symbols"] == "PRIZE 6"
    assert verdict.facts["because_it"] == "+6 promette un premio (You have won)"


def test_the_worst_is_refused_with_reasons_in_the_recipients_language() -> None:
    score, bad = check(ScoreSettings()), message(SPAM, b" MONEY")
    verdict = judged(score, bad)
    assert (verdict.action, verdict.facts["by"]) == (Action.REJECT, "score.reject")
    assert verdict.spoken.startswith("550 5.7.1 Questo messaggio ha l'aspetto di spam. its subject shouts. promette")
    assert verdict.spoken.endswith("; ref G7K2-9QFD")
    assert "looks like spam" in judged(score, message(SPAM, b" MONEY", to="x@sempronio.it")).spoken


def test_what_should_be_held_is_held() -> None:
    verdict = judged(check(ScoreSettings(hold=6)), message(SPAM))
    assert (verdict.action, verdict.facts["by"]) == (Action.HOLD, "score.hold")
    assert verdict.headers[0].value == "YES"


def test_headers_of_strangers_go_also_where_the_message_is_clean() -> None:
    brought = [Field(b"X-Spam-Flag", b" NO"), Field(b"x-spam-FLAG", b" no")]
    verdict = judged(check(ScoreSettings()), message(more=brought))
    assert verdict.changes == (Change("X-Spam-Flag", 1, ""), Change("x-spam-FLAG", 2, ""))


def test_a_message_with_too_many_of_them_is_refused() -> None:
    verdict = judged(check(ScoreSettings()), message(more=[Field(b"X-Spam-Flag", b" NO")] * 101))
    assert (verdict.action, verdict.reason) == (Action.REJECT, Reason.TOO_MANY_FOREIGN)
    assert verdict.spoken == "550 5.7.1 Troppe intestazioni X-Spam; ref G7K2-9QFD"


@pytest.mark.parametrize("client", [client_of("127.0.0.1")._replace(local=True), client_of("198.51.100.9")])
def test_who_is_trusted_is_not_looked_at(client: Client) -> None:
    settings = ScoreSettings(trusted_networks=["198.51.100.0/24"])
    verdict = judged(check(settings), message(SPAM, more=[Field(b"X-Spam-Flag", b" NO")], client=client))
    assert (verdict.headers, verdict.changes, verdict.journalled) == ((), (), False)


# --- results of others ------------------------------------------------------------------------------------------------

FAILS = AuthResult("spf", "fail", (("smtp.mailfrom", "tizio@tizio.it"),))


def test_results_of_earlier_checks_of_the_chain_weigh() -> None:
    spf = Verdict(Action.PASS, "spf", "fail", results=(FAILS,))
    assert judged(check(ScoreSettings()), message(earlier={"spf": spf})).facts["symbols"] == "FORGED 5"


def test_results_in_the_header_weigh_only_where_one_of_ours_stands_before() -> None:
    field = Field(b"Authentication-Results", b" mx.caio.it; spf=fail smtp.mailfrom=tizio@tizio.it")
    assert judged(check(ScoreSettings()), message(more=[field])).facts["score"] == 0
    assert judged(check(ScoreSettings(), authserv_id="mx.caio.it"), message(more=[field])).facts["score"] == 5
    assert judged(check(ScoreSettings(), authserv_id="mail.poi.it"), message(more=[field])).facts["score"] == 0


# --- Bayes ------------------------------------------------------------------------------------------------------------


def test_bayes_has_a_say_once_enough_was_learned() -> None:
    settings = ScoreSettings(bayes=BayesSettings(min_learned=20))
    few, enough = check(settings, taught(19)), check(settings, taught(20))
    assert "bayes" not in judged(few, message(SPAM)).facts
    assert judged(enough, message(SPAM)).facts["symbols"] == "PRIZE 6, LEARNED 5"
    assert judged(enough, message(HAM)).facts["symbols"] == "WANTED -1"


def test_a_store_that_fails_takes_bayes_its_say_and_no_more() -> None:
    warnings: list[str] = []
    store = Broken()
    store.learn([lesson_of([], b"%d" % place, 1) for place in range(30)], Kind.SPAM, 0)
    store.learn([lesson_of([], b"h%d" % place, 1) for place in range(30)], Kind.HAM, 0)
    verdict = judged(check(ScoreSettings(bayes=BayesSettings(min_learned=1)), store, warnings), message(SPAM))
    assert verdict.facts["symbols"] == "PRIZE 6"
    assert warnings == ["score.bayes: it has no say: the disk is gone"]


def test_headers_that_filters_put_in_are_no_words_of_a_message() -> None:
    tokens = Tokens()
    asked: list[set[int]] = []

    class Listening(Tokens):
        def counts(self, ids: Sequence[int]) -> Mapping[int, tuple[int, int]]:
            asked.append(set(ids))
            return tokens.counts(ids)

    store = Listening()
    store.learn([lesson_of([], b"1", 1)], Kind.SPAM, 0)
    store.learn([lesson_of([], b"2", 1)], Kind.HAM, 0)
    score = check(ScoreSettings(bayes=BayesSettings(min_learned=1)), store)
    judged(score, message())
    judged(score, message(more=[Field(b"X-Spam-Status", b" Yes, score=99"), Field(b"Authentication-Results", b" x")]))
    assert asked[0] == asked[1]


TEACHES_ITSELF = ScoreSettings(reject=0, bayes=BayesSettings(autolearn=True, autolearn_ham=0.0, min_learned=20))


class Idle(Clock):
    async def sleep(self, seconds: float) -> None:
        assert seconds == 0


def test_a_message_that_the_rules_are_sure_of_is_learned_by_itself_if_that_is_wanted() -> None:
    tokens = taught(20)
    learner = Learner(tokens, Idle())
    verdict = judged(check(TEACHES_ITSELF, tokens, learner=learner), message(HAM))
    assert verdict.facts["learned"] == "ham"
    asyncio.run(learner.write_back())
    assert tokens.learned() == (20, 21)
    assert "learned" not in judged(check(TEACHES_ITSELF, tokens), message(HAM)).facts


def test_where_bayes_has_no_say_nothing_is_learned_as_wanted() -> None:
    tokens = taught(19)
    assert "learned" not in judged(check(TEACHES_ITSELF, tokens, learner=Learner(tokens, Idle())), message(HAM)).facts


def test_what_can_not_be_looked_up_is_not_learned_either() -> None:
    class Sure(Broken):
        def learned(self) -> Learned:
            return Learned(100, 100)

    rules, _ = load(
        [("rules.toml", "".join(f'[[rule]]\nsymbol = "RULE_{group.upper()}"\nscore = 6.0\ngroup = "{group}"\n'
                                f'en = "it promises"\nbody = "you have won"\n[group.{group}]\ncap = 10.0\n'
                                for group in ("missing", "way", "words")))],
        TEACHES_ITSELF,
    )  # fmt: skip
    warnings: list[str] = []
    for store, learned in ((Sure(), None), (Tokens(), "spam")):
        opinion = Opinion(TEACHES_ITSELF.bayes, store, warnings.append)
        scorer = Scorer(TEACHES_ITSELF, lambda: rules, Clock(), "", opinion, learner=Learner(store, Idle()))
        score = Score(TEACHES_ITSELF, Context(scorer, lambda: "", lambda _: "en", ""))
        assert judged(score, message(SPAM)).facts.get("learned") == learned
