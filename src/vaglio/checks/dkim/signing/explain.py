"""Signing in plain words, English and Italian: why a message was signed or not, and who must do what.

The sentences are filled from the facts of the journal; a fact that an older entry lacks reads ``?``.
"""

from __future__ import annotations

from collections.abc import Mapping

from vaglio.checks.dkim.explain import filled
from vaglio.checks.dkim.signing.decide import Reason
from vaglio.verdict import Fact

_WAITING = "no-key, waiting"
"""What is said in the place of ``no-key`` where there are keys that don't sign yet."""

_SENTENCES: Mapping[str, Mapping[str, tuple[str, str]]] = {
    "en": {
        Reason.SIGNED: ("The message was signed for {domain} ({algorithm}, selector {selector}).", ""),
        Reason.NOT_OURS: ("The message is not of one of our users, so it is not for us to sign.", ""),
        Reason.NO_AUTHOR: ("The message was not signed: it has no From that can be read.",
                           "It is the move of whoever runs the program that wrote it."),
        Reason.SEVERAL_FROM: ("The message has more than one From field: nobody knows which of them a reader is shown.",
                              "It is the move of whoever runs the program that wrote it. To let such mail go unsigned: "
                              'dkim.sign.several_from = "skip".'),
        Reason.SEVERAL_AUTHORS: ("The message was not signed: its From has addresses of several domains.",
                                 "Mail of several authors can be signed if all are of one domain."),
        Reason.EXEMPT_AUTHOR: ("The message was not signed, since the configuration exempts its author {author}.", ""),
        Reason.EXEMPT_RECIPIENT: ("The message was not signed, since the configuration exempts a recipient.", ""),
        Reason.SENDER_MISMATCH: ("The author {author} and the envelope sender are of different organizations.",
                                 "If that is right for this user: dkim.sign.sender_mismatch."),
        Reason.LOGIN_MISMATCH: ("The login {login} is not of the author's domain {domain}.",
                                "If it may send for {domain}, say so in dkim.sign.login_domains; if nobody knows why "
                                "it did, its password may be stolen: see vaglio ratelimit show {login}."),
        Reason.NO_KEY: ("There is no key for {domain}, so the message was not signed.",
                        "It is the move of our admin: vaglio dkim new {domain}."),
        _WAITING: ("There are keys for {waiting}, but they don't sign yet, so the message was not signed.",
                   "It is the move of our admin: publish the records that vaglio dkim new printed (vaglio dkim check "
                   "{waiting} tells which are missing), then vaglio dkim rotate {waiting}."),
        Reason.KEY_TROUBLE: ("The key of {domain} can't be used: {problem}.",
                             "It is the move of our admin: vaglio dkim check {domain}."),
        Reason.TOO_LARGE: ("The message can't be signed: there is too much in its header ({problem}).",
                           "It is the move of whoever runs the program that wrote it. To let such mail go unsigned: "
                           'dkim.sign.too_large = "skip".'),
    },
    "it": {
        Reason.SIGNED: ("Il messaggio è stato firmato per {domain} ({algorithm}, selettore {selector}).", ""),
        Reason.NOT_OURS: ("Il messaggio non è di un nostro utente: non tocca a noi firmarlo.", ""),
        Reason.NO_AUTHOR: ("Il messaggio non è stato firmato: non ha un From leggibile.",
                           "Tocca a chi gestisce il programma che l'ha scritto."),
        Reason.SEVERAL_FROM: ("Il messaggio ha più di un campo From: non si sa quale vedrà chi legge.",
                              "Tocca a chi gestisce il programma che l'ha scritto. Per lasciarlo andare senza firma: "
                              'dkim.sign.several_from = "skip".'),
        Reason.SEVERAL_AUTHORS: ("Il messaggio non è stato firmato: il suo From ha indirizzi di più domini.",
                                 "La posta di più autori si può firmare se sono tutti di un dominio."),
        Reason.EXEMPT_AUTHOR: ("Il messaggio non è stato firmato: la configurazione esenta l'autore {author}.", ""),
        Reason.EXEMPT_RECIPIENT: ("Il messaggio non è stato firmato: la configurazione esenta un destinatario.", ""),
        Reason.SENDER_MISMATCH: ("L'autore {author} e il mittente della busta sono di organizzazioni diverse.",
                                 "Se per questo utente va bene: dkim.sign.sender_mismatch."),
        Reason.LOGIN_MISMATCH: ("L'accesso {login} non è del dominio dell'autore, {domain}.",
                                "Se può spedire per {domain}, va detto in dkim.sign.login_domains; se nessuno sa "
                                "perché l'abbia fatto, la password può essere rubata: si veda vaglio ratelimit show "
                                "{login}."),
        Reason.NO_KEY: ("Non c'è una chiave per {domain}: il messaggio non è stato firmato.",
                        "Tocca al nostro amministratore: vaglio dkim new {domain}."),
        _WAITING: ("Ci sono chiavi per {waiting}, ma non firmano ancora: il messaggio non è stato firmato.",
                   "Tocca al nostro amministratore: pubblicare i record stampati da vaglio dkim new (vaglio dkim check "
                   "{waiting} dice quali mancano), poi vaglio dkim rotate {waiting}."),
        Reason.KEY_TROUBLE: ("La chiave di {domain} non è utilizzabile: {problem}.",
                             "Tocca al nostro amministratore: vaglio dkim check {domain}."),
        Reason.TOO_LARGE: ("Il messaggio non si può firmare: c'è troppo nella sua intestazione ({problem}).",
                           "Tocca a chi gestisce il programma che l'ha scritto. Per lasciarlo andare senza firma: "
                           'dkim.sign.too_large = "skip".'),
    },
}  # fmt: skip
_MORE = {
    "en": {
        "by": "So says {by}.",
        "passed": "It went on its way.",
        "rehearsed": 'This is a rehearsal (dkim.sign.mode = "rehearse"): it went on its way as it was.',
    },
    "it": {
        "by": "Lo dice {by}.",
        "passed": "Ha proseguito.",
        "rehearsed": 'È una prova (dkim.sign.mode = "rehearse"): ha proseguito com\'era.',
    },
}
_BRIEF = {
    "en": ("DKIM signed for {domain}", "not signed ({reason})"),
    "it": ("firmato DKIM per {domain}", "non firmato ({reason})"),
}


def advice(reason: str, facts: Mapping[str, Fact], language: str) -> tuple[str, str]:
    """Return what is so, and who must do what; "" where nobody must."""
    case = _WAITING if reason == Reason.NO_KEY and facts.get("waiting") else reason
    why, move = _SENTENCES[language if language in _SENTENCES else "en"].get(case, ("", ""))
    known = filled(facts)
    return why.format_map(known), move.format_map(known)


def explain(reason: str, facts: Mapping[str, Fact], language: str, rehearsed: bool) -> tuple[str, str]:
    """Return why it was decided so, and what happens next. In a rehearsal nobody was refused, and it says so."""
    more = _MORE[language if language in _MORE else "en"]
    why, move = advice(reason, facts, language)
    done = more["rehearsed"] if rehearsed else more["by" if facts.get("by") else "passed"]
    return why, f"{done.format_map(filled(facts))} {move}".strip()


def brief(reason: str, facts: Mapping[str, Fact], language: str) -> str:
    """Return a clause of the message's story: "DKIM signed for tizio.it"; "" for mail that is not ours."""
    if reason == Reason.NOT_OURS or reason not in _SENTENCES["en"]:
        return ""
    signed, unsigned = _BRIEF[language if language in _BRIEF else "en"]
    return (signed if reason == Reason.SIGNED else unsigned).format_map(filled({**facts, "reason": reason}))
