"""Rate limits in plain words, English and Italian: what was counted, which rule allows how much, whose move it is.

The sentences are filled from the facts of the journal (``decide.basis``); a fact that an older entry lacks reads ``?``.
"""

from __future__ import annotations

from collections.abc import Mapping
from shlex import quote

from vaglio.checks.ratelimit.decide import Reason
from vaglio.checks.ratelimit.limits import Kind, amount_text, counted
from vaglio.config.types import format_duration
from vaglio.verdict import Fact

_SENTENCES: Mapping[str, Mapping[str, tuple[str, str]]] = {
    "en": {
        Reason.TOO_MUCH: (
            "This message alone counts {units}; that is more than the rule {rule} lets through at once for {key} "
            "(its per_message, or its limit of {limit}).", "",
        ),
        Reason.NOT_OWN_SENDER: (
            "The login {user} used a sender address that is not its own (ratelimit.sender_login).",
            "It is the sender's move: write under an address of one's own. If this is one, the admin adds the line "
            '"address login" to a file of ratelimit.sender_logins. If the owner of {user} knows nothing of it, the '
            "account is in wrong hands: change its password first.",
        ),
        Reason.WITHIN: ("All limits have room; the tightest is that of the rule {rule}: {used} of {limit} used before.",
                        "It passes, and counts."),
        Reason.NO_RULE: ("No rule about messages as a whole holds for this one.", "It passes, and none counts it."),
        Reason.COUNTED_BEFORE: ("This message was counted already.", "It passes, and does not count again."),
        Reason.COUNTED_LATER: ("Nothing is counted at this stage (ratelimit.stage).",
                               "It passes; the message is counted at the stage that is set."),
        Reason.WRONG_STAGE: ("Rate limits were asked at a stage where they have nothing to say.",
                             "It passes uncounted: Postfix should ask in smtpd_end_of_data_restrictions."),
    },
    "it": {
        Reason.TOO_MUCH: (
            "Questo messaggio da solo conta {units}: è più di quanto la regola {rule} lascia passare in una volta per "
            "{key} (per il suo per_message, o per il limite di {limit}).", "",
        ),
        Reason.NOT_OWN_SENDER: (
            "L'utente {user} ha usato un indirizzo mittente che non è suo (ratelimit.sender_login).",
            "Tocca al mittente: scrivere con un proprio indirizzo. Se questo lo è, l'amministratore aggiunge la riga "
            '"indirizzo utente" a un file di ratelimit.sender_logins. Se il titolare di {user} non ne sa nulla, '
            "l'account è in mani altrui: per prima cosa va cambiata la password.",
        ),
        Reason.WITHIN: ("Tutti i limiti hanno posto; il più stretto è quello della regola {rule}: {used} di {limit} "
                        "usati prima.", "Passa, e viene contato."),
        Reason.NO_RULE: ("Nessuna regola sui messaggi interi vale per questo.", "Passa, e nessuna lo conta."),
        Reason.COUNTED_BEFORE: ("Questo messaggio era già stato contato.", "Passa, senza contare di nuovo."),
        Reason.COUNTED_LATER: ("In questo momento non si conta nulla (ratelimit.stage).",
                               "Passa; il messaggio viene contato nel momento impostato."),
        Reason.WRONG_STAGE: ("I limiti sono stati interrogati in un momento in cui non hanno nulla da dire.",
                             "Passa senza essere contato: Postfix deve chiedere in "
                             "smtpd_end_of_data_restrictions."),
    },
}  # fmt: skip

_OVER: Mapping[str, Mapping[str, str]] = {
    "en": {
        Kind.MESSAGES: "{key} had sent {counted} within {window} when this one came",
        Kind.RECIPIENTS: "{key} had written to {counted} within {window}, and this would be {units} more",
        Kind.BYTES: "{key} had sent {counted} within {window}, and this message would be {units} more",
        Kind.NEW_RECIPIENTS: "{key} had written to {counted} within {window} (to whom it never wrote before), and "
        "this would be another",
        Kind.DISTINCT_RECIPIENTS: "{key} had written to {counted} within {window}, and this would be another",
        Kind.DISTINCT_NETWORKS: "{key} had come from {counted} within {window}, and this would be another",
        Kind.DISTINCT_COUNTRIES: "{key} had come from {counted} within {window}, and this would be another",
        Kind.REFUSED_SHARE: "{used} of the recipients of {key} within {window} were refused",
    },
    "it": {
        Kind.MESSAGES: "{key} aveva inviato {counted} in {window} quando è arrivato questo",
        Kind.RECIPIENTS: "{key} aveva scritto a {counted} in {window}, e questo ne aggiungerebbe {units}",
        Kind.BYTES: "{key} aveva inviato {counted} in {window}, e questo ne aggiungerebbe {units}",
        Kind.NEW_RECIPIENTS: "{key} aveva scritto in {window} a {counted} (nessun messaggio prima di allora), e "
        "questo sarebbe un altro",
        Kind.DISTINCT_RECIPIENTS: "{key} aveva scritto a {counted} in {window}, e questo sarebbe un altro",
        Kind.DISTINCT_NETWORKS: "{key} era arrivato da {counted} in {window}, e questa sarebbe un'altra",
        Kind.DISTINCT_COUNTRIES: "{key} era arrivato da {counted} in {window}, e questo sarebbe un altro",
        Kind.REFUSED_SHARE: "in {window} è stato rifiutato il {used} dei destinatari di {key}",
    },
}
_ALLOWED = {
    "en": ("; the rule {rule} allows {most}.", " So far {beyond} requests in a row were beyond it."),
    "it": ("; la regola {rule} ammette {most}.", " Finora {beyond} richieste di seguito erano oltre il limite."),
}
"""What follows, and what is added from the second request beyond the limit on."""

_DONE: Mapping[str, Mapping[str, str]] = {
    "en": {
        "defer": "The message was not taken, and is still with the sender.",
        "reject": "The message was refused, and is back with the sender.",
        "hold": "If Postfix took the message, it is in the queue, on hold: mailq shows it, postsuper -H QUEUE_ID lets "
        "it go, postsuper -d QUEUE_ID deletes it.",
        "header": "The message went on its way, marked.",
        "log": "The message went on its way: this rule only tells the admin.",
    },
    "it": {
        "defer": "Il messaggio non è stato preso, ed è ancora dal mittente.",
        "reject": "Il messaggio è stato rifiutato, ed è tornato al mittente.",
        "hold": "Se Postfix ha preso il messaggio, è in coda, trattenuto: mailq lo mostra, postsuper -H ID_CODA lo "
        "libera, postsuper -d ID_CODA lo cancella.",
        "header": "Il messaggio ha proseguito, con un segno.",
        "log": "Il messaggio ha proseguito: questa regola avverte soltanto l'amministratore.",
    },
}
_WAIT = {
    "en": (" It is the sender's move: there is room for it {wait} later, and it can be sent again then; few mail "
           "programs do so by themselves.", " Waiting does not help: the limit leaves no room for it.",
           " It is the sender's move: waiting does not help, it must be made smaller or go to fewer people."),
    "it": (" Tocca al mittente: tra {wait} da quel momento c'è posto, e si può inviare di nuovo; pochi programmi di "
           "posta lo fanno da soli.", " Aspettare non serve: il limite non lascia posto.",
           " Tocca al mittente: aspettare non serve, va ridotto o mandato a meno persone."),
}  # fmt: skip
"""For what was not let in: where there will be room, where never, and where the message itself is too much."""

_ADMIN = {
    "en": "If {key} needs more, the admin gives it limits of its own (ratelimit.overrides), or lets it begin anew: "
    "vaglio ratelimit reset {quoted}.",
    "it": "Se a {key} serve di più, l'amministratore gli dà limiti propri (ratelimit.overrides), o lo fa ricominciare: "
    "vaglio ratelimit reset {quoted}.",
}
_ADMIN_LOGIN = {
    "en": " If its owner did not send that much, the account is in wrong hands: change its password first.",
    "it": " Se il titolare non ha inviato tanto, l'account è in mani altrui: per prima cosa va cambiata la password.",
}
"""What is added where the key is a login's, which has an owner and a password."""
_ADMIN_SIGN = {
    "en": "An account in wrong hands looks like this. It is the admin's move: see vaglio ratelimit show {quoted}. If "
    "its owner knows nothing of it, change the password first, then look into the queue (mailq). If all is well, give "
    "{key} limits of its own (ratelimit.overrides), or let it begin anew: vaglio ratelimit reset {quoted}.",
    "it": "Un account in mani altrui si presenta così. Tocca all'amministratore: vaglio ratelimit show {quoted}. Se il "
    "titolare non ne sa nulla, per prima cosa va cambiata la password, poi si guarda la coda (mailq). Se è tutto in "
    "ordine, si danno a {key} limiti propri (ratelimit.overrides), o lo si fa ricominciare: vaglio ratelimit reset "
    "{quoted}.",
}
_REHEARSED = {
    "en": 'This is a rehearsal (ratelimit.mode = "rehearse"): it was let through. In earnest: ',
    "it": 'È una prova (ratelimit.mode = "rehearse"): è stato lasciato passare. Sul serio: ',
}
_AMOUNTS = frozenset({Kind.MESSAGES, Kind.RECIPIENTS, Kind.BYTES})
_NUMBERS = frozenset(Kind) - {Kind.BYTES, Kind.REFUSED_SHARE}
_NO_LIMIT = {"en": "No limit holds for it.", "it": "Nessun limite vale per questo messaggio."}


class _Known(dict[str, str]):
    def __missing__(self, key: str) -> str:
        return "?"


def explain(
    reason: str, facts: Mapping[str, Fact], language: str = "en", rehearsed: bool = False
) -> tuple[str, str]:
    """Return (why it was decided so, what happens next); two empty strings for a reason that is not ours."""
    language = language if language in _SENTENCES else "en"
    known = _known(facts, language)
    why, then = _SENTENCES[language].get(reason, ("", ""))
    if reason == Reason.WITHIN and "rule" not in facts:
        why = _NO_LIMIT[language]
    if reason == Reason.OVER:
        why = _over(facts, language)
    if reason in (Reason.OVER, Reason.TOO_MUCH):
        then = _next(facts, language, reason == Reason.TOO_MUCH)
    if rehearsed and then:
        then = _REHEARSED[language] + then
    return why.format_map(known), then.format_map(known)


def _known(facts: Mapping[str, Fact], language: str) -> _Known:
    """Return the facts as words."""
    known = _Known({name: str(fact) for name, fact in facts.items()})
    known["most"], _, known["window"] = known["limit"].rpartition("/")
    if not known["most"]:
        known["most"] = known["window"] = "?"
    kind = _kind(facts)
    if kind in _NUMBERS and known["most"].isdecimal():
        known["most"] = amount_text(int(known["most"]), kind, language)
    for name in ("used", "units"):
        value = facts.get(name)
        if kind and isinstance(value, int):
            known[name] = amount_text(value, kind, language)
            if name == "used":
                known["counted"] = counted(value, kind, language)
    wait = facts.get("wait")
    if isinstance(wait, int):
        known["wait"] = format_duration(wait if wait < 120 else -(-wait // 60) * 60)
    known["quoted"] = quote(known["key"])
    return known


def _kind(facts: Mapping[str, Fact]) -> Kind | None:
    """Return what was counted; what passed does not say, and its limit only whether it is a size or a share."""
    limit = str(facts.get("limit", ""))
    guess = Kind.REFUSED_SHARE if "%" in limit else Kind.BYTES if "B" in limit else Kind.MESSAGES
    return next((kind for kind in Kind if kind == facts.get("count", guess)), None)


def _over(facts: Mapping[str, Fact], language: str) -> str:
    """Return why, by what is counted."""
    beyond, (allowed, more) = facts.get("beyond", 0), _ALLOWED[language]
    before = _OVER[language][_kind(facts) or Kind.MESSAGES]
    return before + allowed + (more if isinstance(beyond, int) and beyond > 1 else "")


def _next(facts: Mapping[str, Fact], language: str, too_much: bool) -> str:
    """Return what happens next, by what the rule does; what is too much by itself is refused rather than deferred."""
    does = str(facts.get("does"))
    if too_much and does == "defer":
        does = "reject"
    room, never, too_large = _WAIT[language]
    waiting = (too_large if too_much else room if "wait" in facts else never) if does in ("defer", "reject") else ""
    return f"{_DONE[language].get(does, '')}{waiting} {_advice(facts, language)}".strip()


def _advice(facts: Mapping[str, Fact], language: str) -> str:
    """Return what the admin may do."""
    user = facts.get("user")
    if not user or user not in str(facts.get("key")).split(" "):
        return _ADMIN[language]
    return _ADMIN[language] + _ADMIN_LOGIN[language] if _kind(facts) in _AMOUNTS else _ADMIN_SIGN[language]
