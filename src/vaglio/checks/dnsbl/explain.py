"""Blocklists in plain words, English and Italian: why somebody was refused, what is wrong with a list, what to do.

The sentences are filled from the facts of the journal; a fact that an older entry lacks reads ``?``.
"""

from __future__ import annotations

from collections.abc import Mapping

from vaglio.checks.dnsbl.decide import Reason
from vaglio.verdict import Fact

_SENTENCES: Mapping[str, Mapping[str, tuple[str, str]]] = {
    "en": {
        Reason.LISTED: (
            "The lists that were asked add up to {score}; {by} is {threshold}. What weighed: {hits}. Most came from "
            "{list}, which has {about} with the code {code}{text}.",
            "It is the move of whoever runs {about}: end what got it listed, then have it taken off {list}{url}. "
            'If you want its mail all the same, give it an entry in a list of yours with a negative weight '
            '(docs/dnsbl.md, "Letting somebody through").',
        ),
        Reason.MANNERS: (
            "The rules of dnsbl.rules add up to {score}; {by} is {threshold}. What weighed: {hits}.",
            "It is the move of whoever runs the client: its HELO name, its reverse DNS or the sender's domain must be "
            "put in order.",
        ),
        Reason.SUSPICIOUS: (
            "Something speaks against it ({hits}), {score} in all, and that is not enough to refuse it.",
            "It passed; vaglio-greylist may look at it more closely.",
        ),
        Reason.TRUSTED: ("Allow lists vouch for the client: {hits}.", "It passed, and is not greylisted."),
        Reason.CLEAN: ("No list speaks against it.", "It passed."),
        Reason.AUTHENTICATED: ("The client has logged in.", "It passed unasked."),
        Reason.CERTIFICATE: ("The client showed a verified certificate.", "It passed unasked."),
        Reason.LOCAL: ("The client is in a private network or one of our own ({by}).", "It passed unasked."),
        Reason.RECIPIENT_EXEMPT: ("The recipient takes mail from everybody: {by}.", "It passed unasked."),
        Reason.WRONG_STAGE: ("Blocklists were asked at a stage where they have nothing to say.", "It passed unasked."),
        Reason.INCOMPLETE: ("The mail server did not say who the client is ({by}).", "It passed unasked."),
    },
    "it": {
        Reason.LISTED: (
            "Le liste interrogate danno insieme {score}; {by} vale {threshold}. Hanno pesato: {hits}. La parte "
            "maggiore viene da {list}, che contiene {about} con il codice {code}{text}.",
            "Tocca a chi gestisce {about}: eliminare la causa, poi farsi togliere da {list}{url}. "
            "Per ricevere comunque la sua posta gli si dà un peso negativo in una lista propria (docs/dnsbl.md, "
            '"Letting somebody through").',
        ),
        Reason.MANNERS: (
            "Le regole di dnsbl.rules danno insieme {score}; {by} vale {threshold}. Hanno pesato: {hits}.",
            "Tocca a chi gestisce il client: vanno messi in ordine il nome HELO, il DNS inverso o il dominio del "
            "mittente.",
        ),
        Reason.SUSPICIOUS: (
            "Qualcosa depone contro il client ({hits}), in tutto {score}: non basta per rifiutarlo.",
            "È passato; vaglio-greylist può esaminarlo più da vicino.",
        ),
        Reason.TRUSTED: ("Il client è garantito da liste di fiducia: {hits}.", "È passato, senza greylisting."),
        Reason.CLEAN: ("Nessuna lista depone contro il client.", "È passato."),
        Reason.AUTHENTICATED: ("Il client si è autenticato.", "È passato senza domande."),
        Reason.CERTIFICATE: ("Il client ha mostrato un certificato verificato.", "È passato senza domande."),
        Reason.LOCAL: ("Il client è in una rete privata o nostra ({by}).", "È passato senza domande."),
        Reason.RECIPIENT_EXEMPT: ("Il destinatario accetta posta da tutti: {by}.", "È passato senza domande."),
        Reason.WRONG_STAGE: ("Le liste sono state interrogate in un momento in cui non hanno nulla da dire.",
                             "È passato senza domande."),
        Reason.INCOMPLETE: ("Il server di posta non ha detto chi è il client ({by}).", "È passato senza domande."),
    },
}  # fmt: skip


class _Facts(dict[str, str]):
    def __missing__(self, key: str) -> str:
        return "" if key in ("text", "url") else "?"


def explain(reason: str, facts: Mapping[str, Fact], language: str, rehearsed: bool) -> tuple[str, str]:
    """Return why it was decided so, and what happens next. In a rehearsal nobody was refused, and it says so."""
    why, then = _SENTENCES.get(language, _SENTENCES["en"]).get(reason, ("", ""))
    filled = _Facts({name: f"{fact:g}" if isinstance(fact, float) else str(fact) for name, fact in facts.items()})
    if "text" in filled:
        filled["text"] = f' ("{filled["text"]}")'
    if "url" in filled:
        filled["url"] = f": {filled['url']}"
    why, then = why.format_map(filled), then.format_map(filled)
    if filled["by"] == "dnsbl.defer":
        then = f"{_DEFERRED.get(language, _DEFERRED['en'])} {then}"
    if rehearsed:
        then = _REHEARSED.get(language, _REHEARSED["en"]) + " " + then
    return why, then


_DEFERRED = {
    "en": "It was refused for now only: its server tries again by itself, and gets in once the score is lower.",
    "it": "È un rifiuto temporaneo: il suo server riprova da solo, e passa quando il punteggio è più basso.",
}

_REHEARSED = {
    "en": 'This is a rehearsal (dnsbl.mode = "rehearse"): it was let through; enforced, it would have been refused.',
    "it": 'È una prova (dnsbl.mode = "rehearse"): è stato lasciato passare; sul serio sarebbe stato rifiutato.',
}
