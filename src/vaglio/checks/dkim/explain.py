"""DKIM in plain words, English and Italian: what a result means, and who must do what.

The sentences are filled from the facts of the journal; a fact that an older entry lacks reads ``?``. What the verifier
found is told in its own English words, of which the most frequent are known in Italian here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from vaglio.checks.dkim.outcome import Reason
from vaglio.verdict import Fact

_KEY = {
    "en": "the DNS record {selector}._domainkey.{domain}",
    "it": "il record DNS {selector}._domainkey.{domain}",
}
_SIGNER = {"en": "It is the move of the admin of {domain}: ", "it": "Tocca all'amministratore di {domain}: "}

_SENTENCES: Mapping[str, Mapping[str, tuple[str, str]]] = {
    "en": {
        Reason.PASS: ("The message is as {domain} signed it ({algorithm}, selector {selector}).", ""),
        Reason.UNSIGNED: ("The message has no DKIM signature.",
                          "Whoever owns the sender's domain can have their mail signed: then it can be told from "
                          "forged mail."),
        Reason.BODY_CHANGED: ("The text of the message is not what {domain} signed: {problem}.",
                              "Mailing lists, virus scanners and forwarders that add a line do that; so does a forger. "
                              "It is the move of the host on the way that changed it: change nothing, or sign anew."),
        Reason.HEADER_CHANGED: ("The header of the message is not what {domain} signed: {problem}.",
                                "Mailing lists that mark the subject do that; so does a forger. If it is so for all "
                                "mail of {domain}, its key in the DNS is not the one that it signs with."),
        Reason.MALFORMED: ("The signature can't be read: {problem}.",
                           "It is the move of whoever signed it: their program writes it wrongly."),
        Reason.UNSUPPORTED: ("The signature is of a kind that is not known here: {problem}.",
                             _SIGNER["en"] + "sign with rsa-sha256 or ed25519-sha256."),
        Reason.TESTING: ("The signature of {domain} counts as none: {problem}.",
                         _SIGNER["en"] + "take t=y out of " + _KEY["en"] + " when the tests are over."),
        Reason.EXPIRED: ("The signature of {domain} is too old: {problem}.",
                         "The mail was long under way, or somebody sends an old one again."),
        Reason.FROM_FUTURE: ("The signature of {domain} is too young: {problem}.",
                             "A clock is wrong: theirs, or ours (timedatectl shows it)."),
        Reason.SHORT_KEY: ("The key of {domain} is too short to prove anything: {problem}.",
                           _SIGNER["en"] + "make a key of 2048 bits."),
        Reason.LONG_KEY: ("The key of {domain} is longer than anybody must verify: {problem}.",
                          _SIGNER["en"] + "make a key of 2048 bits."),
        Reason.PARTIAL_BODY: ("The signature of {domain} is good, but {problem}: anybody may have added them.",
                              _SIGNER["en"] + "sign without l=. To take it as signed: dkim.verify.partial_body."),
        Reason.UNSIGNED_FROM: ("The signature of {domain} does not hold for what a reader may see: {problem}.",
                               "Mail has one From: a second one is put there to deceive."),
        Reason.TOO_LARGE: ("The signature is larger than what is verified here: {problem}.", ""),
        Reason.PASSED_OVER: ("The message has {signatures} signatures, and {problem}.",
                             "If that is not enough: dkim.verify.max_signatures."),
        Reason.REPLAYED: ("The signature of {domain} is good, but {problem}: one message is sent again and again.",
                          _SIGNER["en"] + "find out who wrote it, and revoke the key. For a mailing list: "
                          "dkim.verify.replay.exempt_domains."),
        Reason.SHA1: ("The signature of {domain} was made with SHA-1, which proves nothing any more.",
                      _SIGNER["en"] + "sign with rsa-sha256."),
        Reason.FROM_NOT_SIGNED: ("The signature of {domain} says nothing of the author: {problem}.",
                                 _SIGNER["en"] + "sign From."),
        Reason.FOREIGN_IDENTITY: ("The signature of {domain} is in the name of somebody else: {problem}.",
                                  _SIGNER["en"] + "i= must be an address of d=."),
        Reason.BODY_TOO_SHORT: ("A part of what {domain} signed is missing: {problem}.", "The message was cut."),
        Reason.NO_KEY: ("The message is signed by {domain}, but its key can't be found: {problem}.",
                        _SIGNER["en"] + "publish " + _KEY["en"] + "."),
        Reason.REVOKED: ("The message is signed with a key that {domain} has withdrawn: {problem}.",
                         _SIGNER["en"] + "sign with the new key; or the mail is an old one, or forged."),
        Reason.SEVERAL_KEYS: ("It can't be told which key is the one of {domain}: {problem}.",
                              _SIGNER["en"] + "leave one TXT record at {selector}._domainkey.{domain}."),
        Reason.BAD_KEY: ("The key of {domain} can't be used: {problem}.",
                         _SIGNER["en"] + "repair " + _KEY["en"] + "."),
        Reason.WRONG_KEY: ("The key of {domain} is not for this signature: {problem}.",
                           _SIGNER["en"] + "repair " + _KEY["en"] + ", or sign with the key that belongs to it."),
        Reason.DNS: ("The key of {domain} could not be looked up: {problem}.",
                     "The look-up may succeed next time; if it lasts for many domains, see vaglio dns check."),
    },
    "it": {
        Reason.PASS: ("Il messaggio è come {domain} lo ha firmato ({algorithm}, selettore {selector}).", ""),
        Reason.UNSIGNED: ("Il messaggio non ha una firma DKIM.",
                          "Chi possiede il dominio del mittente può farne firmare la posta: allora si distingue da "
                          "quella falsa."),
        Reason.BODY_CHANGED: ("Il testo del messaggio non è quello che {domain} ha firmato: {problem}.",
                              "Lo fanno le mailing list, gli antivirus e gli inoltri che aggiungono una riga; e lo fa "
                              "un falsario. Tocca all'host che lo ha cambiato: non cambiarlo, o firmarlo di nuovo."),
        Reason.HEADER_CHANGED: ("L'intestazione del messaggio non è quella che {domain} ha firmato: {problem}.",
                                "Lo fanno le mailing list che marcano l'oggetto; e lo fa un falsario. Se succede con "
                                "tutta la posta di {domain}, la chiave nel DNS non è quella con cui firma."),
        Reason.MALFORMED: ("La firma non è leggibile: {problem}.",
                           "Tocca a chi ha firmato: il suo programma la scrive male."),
        Reason.UNSUPPORTED: ("La firma è di un tipo che qui non è noto: {problem}.",
                             _SIGNER["it"] + "firmare con rsa-sha256 o ed25519-sha256."),
        Reason.TESTING: ("La firma di {domain} vale come nessuna: {problem}.",
                         _SIGNER["it"] + "finite le prove, togliere t=y: " + _KEY["it"] + "."),
        Reason.EXPIRED: ("La firma di {domain} è troppo vecchia: {problem}.",
                         "La posta ha viaggiato a lungo, o qualcuno ne rispedisce di vecchia."),
        Reason.FROM_FUTURE: ("La firma di {domain} è troppo giovane: {problem}.",
                             "Un orologio è sbagliato: il loro, o il nostro (lo mostra timedatectl)."),
        Reason.SHORT_KEY: ("La chiave di {domain} è troppo corta per provare qualcosa: {problem}.",
                           _SIGNER["it"] + "fare una chiave di 2048 bit."),
        Reason.LONG_KEY: ("La chiave di {domain} è più lunga di quanto si debba verificare: {problem}.",
                          _SIGNER["it"] + "fare una chiave di 2048 bit."),
        Reason.PARTIAL_BODY: ("La firma di {domain} è buona, ma {problem}: chiunque può averli aggiunti.",
                              _SIGNER["it"] + "firmare senza l=. Per accettare comunque: dkim.verify.partial_body."),
        Reason.UNSIGNED_FROM: ("La firma di {domain} non vale per ciò che un lettore può vedere: {problem}.",
                               "La posta ha un solo From: il secondo serve a ingannare."),
        Reason.TOO_LARGE: ("La firma è più grande di quanto qui si verifichi: {problem}.", ""),
        Reason.PASSED_OVER: ("Il messaggio ha {signatures} firme: {problem}.",
                             "Se non bastano: dkim.verify.max_signatures."),
        Reason.REPLAYED: ("La firma di {domain} è buona, ma {problem}: qualcuno rispedisce di continuo un messaggio.",
                          _SIGNER["it"] + "trovare chi l'ha scritto, e revocare la chiave. Per una mailing list: "
                          "dkim.verify.replay.exempt_domains."),
        Reason.SHA1: ("La firma di {domain} è fatta con SHA-1, che non prova più nulla.",
                      _SIGNER["it"] + "firmare con rsa-sha256."),
        Reason.FROM_NOT_SIGNED: ("La firma di {domain} non dice nulla dell'autore: {problem}.",
                                 _SIGNER["it"] + "firmare il From."),
        Reason.FOREIGN_IDENTITY: ("La firma di {domain} è a nome d'altri: {problem}.",
                                  _SIGNER["it"] + "i= deve essere un indirizzo di d=."),
        Reason.BODY_TOO_SHORT: ("Manca una parte di ciò che {domain} ha firmato: {problem}.",
                                "Il messaggio è stato tagliato."),
        Reason.NO_KEY: ("Il messaggio è firmato da {domain}, ma la chiave non si trova: {problem}.",
                        _SIGNER["it"] + "pubblicare " + _KEY["it"] + "."),
        Reason.REVOKED: ("Il messaggio è firmato con una chiave che {domain} ha ritirato: {problem}.",
                         _SIGNER["it"] + "firmare con quella nuova; oppure la posta è vecchia, o falsa."),
        Reason.SEVERAL_KEYS: ("Non si sa quale sia la chiave di {domain}: {problem}.",
                              _SIGNER["it"] + "lasciare un solo record TXT in {selector}._domainkey.{domain}."),
        Reason.BAD_KEY: ("La chiave di {domain} non è utilizzabile: {problem}.",
                         _SIGNER["it"] + "correggere " + _KEY["it"] + "."),
        Reason.WRONG_KEY: ("La chiave di {domain} non è per questa firma: {problem}.",
                           _SIGNER["it"] + "correggere " + _KEY["it"] + ", o firmare con la sua chiave."),
        Reason.DNS: ("La chiave di {domain} non era raggiungibile: {problem}.",
                     "Può riuscire la prossima volta; se dura per molti domini, si veda vaglio dns check."),
    },
}  # fmt: skip
_MORE = {
    "en": {
        "all": "All its signatures: {all}.",
        "by": "It was held back or refused since {by} says so.",
        "passed": "It passed on.",
        "rehearsed": 'This is a rehearsal (dkim.verify.mode = "rehearse"): it was let through; enforced, it would have '
        "been refused.",
    },
    "it": {
        "all": "Tutte le firme: {all}.",
        "by": "È stato trattenuto o rifiutato: lo dice {by}.",
        "passed": "È passato.",
        "rehearsed": 'È una prova (dkim.verify.mode = "rehearse"): è stato lasciato passare; sul serio sarebbe stato '
        "rifiutato.",
    },
}
_BRIEF = {
    "en": ("DKIM {result} for {domain}", "no DKIM signature"),
    "it": ("DKIM {result} per {domain}", "nessuna firma DKIM"),
}


_PROBLEMS_IN_ITALIAN = tuple(
    (re.compile(pattern), words)
    for pattern, words in (
        (r"the body was changed on the way; the header was not", "il corpo è cambiato per strada, l'intestazione no"),
        (r"the body was changed on the way; and so was the header, or another key signed it",
         "il corpo è cambiato per strada, e l'intestazione anche, o l'ha firmata un'altra chiave"),
        (r"the body was changed on the way; and so was the header( \(.+\))?",
         r"il corpo è cambiato per strada, e l'intestazione anche\1"),
        (r"the header was changed on the way, or another key signed it",
         "l'intestazione è cambiata per strada, o l'ha firmata un'altra chiave"),
        (r"the header was changed on the way( \(.+\))?", r"l'intestazione è cambiata per strada\1"),
        (r"it expired (\d+) days ago", r"è scaduta \1 giorni fa"),
        (r"it expired (\d+) hours ago", r"è scaduta \1 ore fa"),
        (r"it expired (\d+) minutes ago", r"è scaduta \1 minuti fa"),
        (r"it expired (\d+) seconds ago", r"è scaduta \1 secondi fa"),
        (r"there is no key at (\S+)", r"non c'è una chiave in \1"),
        (r"there is a TXT record at (\S+), which is no key", r"il record TXT in \1 non è una chiave"),
    )
)  # fmt: skip


class _Facts(dict[str, str]):
    def __missing__(self, key: str) -> str:
        return "?"


def advice(reason: str, facts: Mapping[str, Fact], language: str) -> tuple[str, str]:
    """Return what is so with a signature, and who must do what; "" where nobody must."""
    why, move = _SENTENCES[language if language in _SENTENCES else "en"].get(reason, ("", ""))
    known = filled(facts)
    if language == "it" and "problem" in known:
        known["problem"] = _in_italian(known["problem"])
    return why.format_map(known), move.format_map(known)


def explain(reason: str, facts: Mapping[str, Fact], language: str, rehearsed: bool) -> tuple[str, str]:
    """Return why it was decided so, and what happens next. In a rehearsal nobody was refused, and it says so."""
    more = _MORE[language if language in _MORE else "en"]
    why, move = advice(reason, facts, language)
    if "all" in facts:
        why += " " + more["all"].format_map(filled(facts))
    done = more["rehearsed"] if rehearsed else more["by" if facts.get("by") else "passed"]
    return why, f"{done.format_map(filled(facts))} {move}".strip()


def _in_italian(problem: str) -> str:
    """Return what was found in Italian, as it is where that is not known."""
    found = ((pattern.fullmatch(problem), words) for pattern, words in _PROBLEMS_IN_ITALIAN)
    return next((match.expand(words) for match, words in found if match), problem)


def filled(facts: Mapping[str, Fact]) -> dict[str, str]:
    """Return the facts as a template takes them: one that is missing reads ``?``."""
    return _Facts({name: str(fact) or "?" for name, fact in facts.items()})


def brief(reason: str, facts: Mapping[str, Fact], language: str) -> str:
    """Return a clause of the message's story: "DKIM pass for tizio.it"; "" where the facts do not tell."""
    if "result" not in facts:
        return ""
    signed, unsigned = _BRIEF[language if language in _BRIEF else "en"]
    if reason == Reason.UNSIGNED:
        return unsigned
    return signed.format_map(filled(facts))
