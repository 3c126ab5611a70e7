"""What one of our own users is told whose message is not taken to be signed.

Italian is written without accents: a reply may go to clients that did not ask for SMTPUTF8 (RFC 6531 3.7.4.1).
"""

from __future__ import annotations

from vaglio.checks.dkim.signing.decide import Decision, Reason
from vaglio.checks.replytext import filled
from vaglio.verdict import Action, Reply

_SHIPPED = {
    "en": {
        Reason.SEVERAL_FROM: "The message has more than one From field, and may have one only (RFC 5322 3.6); it is "
        "for the mail program that wrote it to be repaired",
        Reason.TOO_LARGE: "The header of the message has too many fields, or too long ones, to be signed; it is for "
        "the mail program that wrote it to be repaired",
        Reason.LOGIN_MISMATCH: "Your login may not send mail in the name of {domain}; use an address of your own, or "
        "ask your admin",
        Reason.SENDER_MISMATCH: "The author is of {domain}, the envelope sender is not; let both be of one domain, or "
        "ask your admin",
        Reason.NO_KEY: "Mail of {domain} can't be signed here, and is not taken without; use an address of another "
        "domain, or ask your admin",
        Reason.KEY_TROUBLE: "The mail server can't sign the message now; nothing is wrong with it, and it will be "
        "taken later: your admin must look at the server's log",
    },
    "it": {
        Reason.SEVERAL_FROM: "Il messaggio ha piu' di un campo From, e ne puo' avere uno solo (RFC 5322 3.6); va "
        "corretto il programma di posta che lo ha scritto",
        Reason.TOO_LARGE: "L'intestazione del messaggio ha troppi campi, o troppo lunghi, per essere firmata; va "
        "corretto il programma di posta che lo ha scritto",
        Reason.LOGIN_MISMATCH: "Con questo accesso non si spedisce a nome di {domain}; usare un indirizzo proprio, o "
        "chiedere al proprio amministratore",
        Reason.SENDER_MISMATCH: "L'autore e' di {domain}, il mittente della busta no; siano dello stesso dominio, o "
        "chiedere al proprio amministratore",
        Reason.NO_KEY: "La posta di {domain} qui non si puo' firmare, e senza firma non si accetta; usare un altro "
        "dominio, o chiedere al proprio amministratore",
        Reason.KEY_TROUBLE: "Il server di posta non riesce ora a firmare il messaggio; il messaggio va bene, e sara' "
        "accettato piu' tardi: l'amministratore deve guardare il log del server",
    },
}
_CODES = {Reason.SEVERAL_FROM: "5.6.0", Reason.TOO_LARGE: "5.6.0", Reason.KEY_TROUBLE: "4.7.5"}
"""RFC 3463 3.7: a problem of the content; 3.8: cryptographic failure."""


def reply(decision: Decision, domain: str, ref: str, language: str) -> Reply:
    """Return the refusal, in ``language`` where there is a text in it; ``domain`` is the author's."""
    words = _SHIPPED.get(language, _SHIPPED["en"])[decision.reason]
    text = filled(words, {"domain": domain[:80] or "?"}, ref)
    return Reply(451 if decision.action is Action.DEFER else 550, _CODES.get(decision.reason, "5.7.1"), text)
