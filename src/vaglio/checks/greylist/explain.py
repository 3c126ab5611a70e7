"""Greylisting's decisions in plain words, English and Italian: what, why, by which setting, what happens next.

The sentences are filled from the facts of the journal; a fact that an older entry lacks reads ``?``. A rehearsal
defers nobody: its sentences say what would have been.
"""

from __future__ import annotations

from collections.abc import Mapping

from vaglio.checks.greylist.decide import Reason
from vaglio.verdict import Fact

_SENTENCES: Mapping[str, Mapping[str, tuple[str, str]]] = {
    "en": {
        Reason.FIRST: (
            "The recipient was asked for the first time by this sender from {pool}. First contacts are deferred for "
            "{delay} seconds ({by}), since most spam software never comes back.",
            "Nobody has to do anything: the sending server keeps the message and tries again. A try after "
            "{left} seconds or more is let in, and later messages pass at once.",
        ),
        Reason.EARLY: (
            "The sender from {pool} came back after {waited} seconds, earlier than the delay of {delay} seconds ({by}) "
            "allows.",
            "Nobody has to do anything: the next try after {left} seconds or more is let in.",
        ),
        Reason.TOO_MANY: (
            "{pool} has left more first contacts unretried than greylist.max_pending allows, so this one was deferred "
            "and not even remembered.",
            "When some of its earlier messages come back, or expire, new ones are taken in again. If {pool} is a good "
            "sender, allow it: vaglio greylist allow {pool}",
        ),
        Reason.KNOWN: ("This sender, recipient and {pool} are known since an earlier retry.", "It passed at once."),
        Reason.RETRIED: ("The sender from {pool} came back after {waited} seconds, as a mail server does.",
                         "It passed, and is known from now on."),
        Reason.AUTO_POOL: ("{pool} has delivered often enough to pass unasked (greylist.auto_whitelist).",
                           "It passed at once."),
        Reason.AUTO_DOMAIN: ("The sender's domain has delivered often enough from {pool} to pass unasked "
                             "(greylist.auto_whitelist_domain).", "It passed at once."),
        Reason.CLIENT_LISTED: ("The client is on a whitelist: {by}.", "It passed unasked."),
        Reason.SENDER_LISTED: ("The sender is on a whitelist: {by}.", "It passed unasked."),
        Reason.RECIPIENT_LISTED: ("The recipient is on a whitelist: {by}.", "It passed unasked."),
        Reason.AUTHENTICATED: ("The client has logged in.", "It passed unasked."),
        Reason.CERTIFICATE: ("The client showed a certificate of a CA that Postfix trusts ({by}).",
                             "It passed unasked."),
        Reason.LOCAL: ("The client is in one of our own networks ({by}).", "It passed unasked."),
        Reason.NULL_SENDER: ("Messages with the null sender are not greylisted here ({by}).", "It passed unasked."),
        Reason.TRUSTED: ("An allow list vouches for the client ({by}).", "It passed unasked."),
        Reason.NOT_LISTED: ("No blocklist names the client, and only listed ones are greylisted ({by}).",
                            "It passed unasked."),
        Reason.RULE: ("A rule exempts it: {by}.", "It passed unasked."),
        Reason.WRONG_STAGE: ("Greylisting was asked at a stage where it has nothing to say.", "It passed unasked."),
        Reason.INCOMPLETE: ("The mail server did not say who wants to send to whom ({by}).", "It passed unasked."),
    },
    "it": {
        Reason.FIRST: (
            "È il primo contatto di questo mittente con questo destinatario da {pool}. I primi contatti vengono "
            "rimandati di {delay} secondi ({by}), perché quasi nessun programma di spam riprova.",
            "Nessuno deve fare nulla: il server del mittente conserva il messaggio e riprova. Un tentativo dopo almeno "
            "{left} secondi viene accettato, e i messaggi successivi passano subito.",
        ),
        Reason.EARLY: (
            "Il mittente da {pool} ha riprovato dopo {waited} secondi, prima dei {delay} richiesti ({by}).",
            "Nessuno deve fare nulla: il prossimo tentativo dopo almeno {left} secondi viene accettato.",
        ),
        Reason.TOO_MANY: (
            "{pool} ha lasciato più primi contatti senza seguito di quanti greylist.max_pending ne ammetta: questo è "
            "stato rimandato e non viene nemmeno ricordato.",
            "Quando alcuni dei suoi messaggi tornano, o scadono, se ne accettano di nuovi. Se {pool} è un buon "
            "mittente: vaglio greylist allow {pool}",
        ),
        Reason.KNOWN: ("Mittente, destinatario e {pool} sono noti da un tentativo precedente.", "È passato subito."),
        Reason.RETRIED: ("Il mittente da {pool} ha riprovato dopo {waited} secondi, come fa un server di posta.",
                         "È passato, e da ora è noto."),
        Reason.AUTO_POOL: ("{pool} ha già consegnato abbastanza messaggi (greylist.auto_whitelist).",
                           "È passato subito."),
        Reason.AUTO_DOMAIN: ("Il dominio del mittente ha già consegnato abbastanza messaggi da {pool} "
                             "(greylist.auto_whitelist_domain).", "È passato subito."),
        Reason.CLIENT_LISTED: ("Il client è in una lista di esenzione: {by}.", "È passato senza attesa."),
        Reason.SENDER_LISTED: ("Il mittente è in una lista di esenzione: {by}.", "È passato senza attesa."),
        Reason.RECIPIENT_LISTED: ("Il destinatario è in una lista di esenzione: {by}.", "È passato senza attesa."),
        Reason.AUTHENTICATED: ("Il client si è autenticato.", "È passato senza attesa."),
        Reason.CERTIFICATE: ("Il client ha mostrato un certificato di una CA di cui Postfix si fida ({by}).",
                             "È passato senza attesa."),
        Reason.LOCAL: ("Il client è in una delle nostre reti ({by}).", "È passato senza attesa."),
        Reason.NULL_SENDER: ("I messaggi con mittente vuoto qui non vengono rimandati ({by}).",
                             "È passato senza attesa."),
        Reason.TRUSTED: ("Una lista di fiducia garantisce per il client ({by}).", "È passato senza attesa."),
        Reason.NOT_LISTED: ("Nessuna blocklist nomina il client, e solo quelli elencati vengono rimandati ({by}).",
                            "È passato senza attesa."),
        Reason.RULE: ("Una regola lo esenta: {by}.", "È passato senza attesa."),
        Reason.WRONG_STAGE: ("Il greylisting è stato interpellato in una fase che non lo riguarda.",
                             "È passato senza attesa."),
        Reason.INCOMPLETE: ("Il server di posta non ha detto chi scrive a chi ({by}).", "È passato senza attesa."),
    },
}  # fmt: skip

_REHEARSED: Mapping[str, Mapping[str, str]] = {
    "en": {
        Reason.FIRST: (
            "The recipient was asked for the first time by this sender from {pool}. Outside a rehearsal it would have "
            "been deferred for {delay} seconds ({by}), since most spam software never comes back; in a rehearsal it "
            "is let through."
        ),
        Reason.EARLY: (
            "The sender from {pool} wrote again after {waited} seconds, earlier than the delay of {delay} seconds "
            "({by}) allows. Outside a rehearsal it would have been deferred once more; in a rehearsal it is let "
            "through."
        ),
        Reason.TOO_MANY: (
            "{pool} has left more first contacts unretried than greylist.max_pending allows: this one is not even "
            "remembered. Outside a rehearsal it would have been deferred; in a rehearsal it is let through."
        ),
    },
    "it": {
        Reason.FIRST: (
            "È il primo contatto di questo mittente con questo destinatario da {pool}. Fuori dalla prova sarebbe stato "
            "rimandato di {delay} secondi ({by}), perché quasi nessun programma di spam riprova; in prova viene "
            "lasciato passare."
        ),
        Reason.EARLY: (
            "Il mittente da {pool} ha scritto di nuovo dopo {waited} secondi, prima dei {delay} richiesti ({by}). "
            "Fuori dalla prova sarebbe stato rimandato ancora; in prova viene lasciato passare."
        ),
        Reason.TOO_MANY: (
            "{pool} ha lasciato più primi contatti senza seguito di quanti greylist.max_pending ne ammetta: questo non "
            "viene nemmeno ricordato. Fuori dalla prova sarebbe stato rimandato; in prova viene lasciato passare."
        ),
    },
}
_NOTHING_NEXT = {
    "en": "Nothing: this is a rehearsal, and the message goes on its way.",
    "it": "Nulla: è una prova, e il messaggio prosegue.",
}


class _Known(dict[str, object]):
    def __missing__(self, key: str) -> str:
        return "?"


def explain(
    reason: str, facts: Mapping[str, Fact], language: str = "en", rehearsed: bool = False
) -> tuple[str, str]:
    """Return (why it was decided so, what happens next); two empty strings for a reason that is not ours.

    ``rehearsed``: it was let through, and the reason is why it would have been deferred.
    """
    known = _Known(facts)
    if rehearsed and reason in _REHEARSED["en"]:
        return _REHEARSED[language][reason].format_map(known), _NOTHING_NEXT[language]
    why, what_next = _SENTENCES[language].get(reason, ("", ""))
    return why.format_map(known), what_next.format_map(known)
