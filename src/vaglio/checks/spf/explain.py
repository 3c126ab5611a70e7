"""SPF in plain words, English and Italian: what a result means, why mail was refused or not, who must do what.

The sentences are filled from the facts of the journal; a fact that an older entry lacks reads ``?``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from vaglio.checks.spf.decide import Reason
from vaglio.checks.spf.record import allows, in_language
from vaglio.verdict import Fact

_NOT_IN = {
    "en": "{ip} is not in the SPF record of {domain} ({identity}), which allows {allows}.",
    "it": "{ip} non è nel record SPF di {domain} ({identity}), che ammette {allows}.",
}
_THEIR_MOVE = {
    "en": "If {ip} is to send for {domain}, it is the move of the admin of {domain}: add {add} to the record{else}.",
    "it": "Se {ip} deve spedire per {domain}, tocca all'amministratore di {domain}: aggiungere {add} al record{else}.",
}
_ELSE = {"en": ", or send through a host that it allows", "it": ", o spedire da un host ammesso"}
_DONE = {
    "en": {"accept": "It passed on.", "rule": "It passed on since {rule} says so.",
           "refused": "It was held back or refused since {by} says so.", "unjudged": "It was not judged."},
    "it": {"accept": "È passato.", "rule": "È passato: lo dice {rule}.",
           "refused": "È stato trattenuto o rifiutato: lo dice {by}.", "unjudged": "Non è stato giudicato."},
}

_SENTENCES: Mapping[str, Mapping[str, tuple[str, str]]] = {
    "en": {
        Reason.PASS: ("{ip} may send for {domain} ({identity}): its record says so{with}.", ""),
        Reason.FAIL: (_NOT_IN["en"], _THEIR_MOVE["en"]),
        Reason.SOFTFAIL: (_NOT_IN["en"] + " It asks not to refuse for that alone.", _THEIR_MOVE["en"]),
        Reason.NEUTRAL: ("The SPF record of {domain} ({identity}) says nothing of {ip}; it allows {allows}.", ""),
        Reason.NONE: ("There is no SPF record to judge by for {identity}: {problem}.",
                      "Whoever owns the domain can publish one: then nobody else can send in its name."),
        Reason.PERMERROR: ("The SPF record of {domain} ({identity}) can't be used: {problem}.",
                           "It is the move of the admin of {domain}: repair the record "
                           '("vaglio spf check --trace" shows where it fails).'),
        Reason.TEMPERROR: ("The SPF record of {domain} ({identity}) could not be looked up: {problem}.",
                           "The look-up may succeed next time; if it lasts for many domains, see vaglio dns check."),
        Reason.NO_MAIL: ('The record of {domain} ({identity}) is "v=spf1 -all": it never sends any mail.',
                         "If it does send, its admin must say from where: {add} in the record."),
        Reason.NOT_PASS: ("{domain} stands in spf.reject_unless_pass, and the result is {result} ({problem}).",
                          "If {ip} is to send for {domain}, its admin must let the record allow it."),
        Reason.LEFT_TO_DMARC: (_NOT_IN["en"] + " The domain in From, {author}, has a DMARC policy of {dmarc}, so "
                               "DMARC decides (spf.defer_to_dmarc).", "It was not refused for SPF."),
        Reason.BACKUP_MX: (_NOT_IN["en"] + " But {ip} is {backup_mx}, an MX of our own domain: a backup MX passes mail "
                           "on, and is in no sender's record.",
                           "It was not refused. Put {ip} into spf.relays: then the client before it is judged."),
        Reason.FORWARDER: (_NOT_IN["en"] + " But {ip} is a host of the known forwarder {forwarder}.",
                           "It was not refused (spf.skip.forwarders)."),
        Reason.HELO_BORNE_OUT: (_NOT_IN["en"] + " But its HELO name {helo} is one that is believed, and was borne out.",
                                "It was not refused (spf.skip.helo_names)."),
        Reason.UNREADABLE: ("The client is our relay {ip}, and who came before it is not known: {problem}.",
                            "It was not judged. See the message's Received headers."),
        Reason.NO_CLIENT: ("The address of the client can't be read, so that no record speaks for it.",
                           "It was let in, as the policy for \"none\" says. See what the mail server logs of it."),
        Reason.AUTHENTICATED: ("The client has logged in.", ""),
        Reason.LOCAL: ("The client is in a network of ours ({by}).", ""),
        Reason.NO_ADDRESS: ("The mail came by no network.", ""),
        Reason.CLIENT_EXEMPT: ("The client stands in spf.skip.clients ({by}).", ""),
        Reason.SENDER_EXEMPT: ("The sender stands in spf.skip.senders ({by}).", ""),
        Reason.OWN_MAIL: ("It is mail of our own, and others will let it in from our addresses.", ""),
        Reason.OWN_MAIL_FAILS: ("It is mail of our own, and others will see {result} for it, from {ip} for {domain}: "
                                "{what}.",
                                "It went out. Put the SPF record of {domain} in order, or others will refuse it."),
    },
    "it": {
        Reason.PASS: ("{ip} può spedire per {domain} ({identity}): lo dice il suo record{with}.", ""),
        Reason.FAIL: (_NOT_IN["it"], _THEIR_MOVE["it"]),
        Reason.SOFTFAIL: (_NOT_IN["it"] + " Chiede di non rifiutare per questo soltanto.", _THEIR_MOVE["it"]),
        Reason.NEUTRAL: ("Il record SPF di {domain} ({identity}) non dice nulla di {ip}; ammette {allows}.", ""),
        Reason.NONE: ("Non c'è un record SPF per giudicare {identity}: {problem}.",
                      "Chi possiede il dominio può pubblicarne uno: allora nessun altro può spedire a suo nome."),
        Reason.PERMERROR: ("Il record SPF di {domain} ({identity}) non è utilizzabile: {problem}.",
                           "Tocca all'amministratore di {domain}: correggere il record "
                           '("vaglio spf check --trace" mostra dove).'),
        Reason.TEMPERROR: ("Il record SPF di {domain} ({identity}) non era raggiungibile: {problem}.",
                           "Può riuscire la prossima volta; se dura per molti domini, si veda vaglio dns check."),
        Reason.NO_MAIL: ('Il record di {domain} ({identity}) è "v=spf1 -all": non spedisce mai posta.',
                         "Se la spedisce, il suo amministratore deve dire da dove: {add} nel record."),
        Reason.NOT_PASS: ("{domain} è in spf.reject_unless_pass, e il risultato è {result} ({problem}).",
                          "Se {ip} deve spedire per {domain}, tocca al suo amministratore: il record deve ammetterlo."),
        Reason.LEFT_TO_DMARC: (_NOT_IN["it"] + " Il dominio del From, {author}, ha una politica DMARC {dmarc}: decide "
                               "DMARC (spf.defer_to_dmarc).", "Non è stato rifiutato per SPF."),
        Reason.BACKUP_MX: (_NOT_IN["it"] + " Ma {ip} è {backup_mx}, un MX del nostro dominio: un MX di riserva "
                           "inoltra, e non è nel record di nessun mittente.",
                           "Non è stato rifiutato. Con {ip} in spf.relays si giudica il client che lo precede."),
        Reason.FORWARDER: (_NOT_IN["it"] + " Ma {ip} è un host di {forwarder}, che inoltra posta a noi.",
                           "Non è stato rifiutato (spf.skip.forwarders)."),
        Reason.HELO_BORNE_OUT: (_NOT_IN["it"] + " Ma il suo nome HELO {helo} è uno di quelli creduti, ed è confermato.",
                                "Non è stato rifiutato (spf.skip.helo_names)."),
        Reason.UNREADABLE: ("Il client è il nostro relay {ip}, e chi lo precede non è noto: {problem}.",
                            "Non è stato giudicato. Si vedano gli header Received del messaggio."),
        Reason.NO_CLIENT: ("L'indirizzo del client non si può leggere, e nessun record parla per lui.",
                           "È stato accettato, come vuole la policy per \"none\". Si veda il log del server di posta."),
        Reason.AUTHENTICATED: ("Il client si è autenticato.", ""),
        Reason.LOCAL: ("Il client è in una rete nostra ({by}).", ""),
        Reason.NO_ADDRESS: ("Il messaggio non è arrivato da una rete.", ""),
        Reason.CLIENT_EXEMPT: ("Il client è in spf.skip.clients ({by}).", ""),
        Reason.SENDER_EXEMPT: ("Il mittente è in spf.skip.senders ({by}).", ""),
        Reason.OWN_MAIL: ("È posta nostra, e gli altri la accetteranno dai nostri indirizzi.", ""),
        Reason.OWN_MAIL_FAILS: ("È posta nostra, e gli altri vedranno {result}, da {ip} per {domain}: {what}.",
                                "È partita. Va messo in ordine il record SPF di {domain}, o altri la rifiuteranno."),
    },
}  # fmt: skip
_RESULTS = frozenset({Reason.FAIL, Reason.SOFTFAIL, Reason.NEUTRAL, Reason.NONE, Reason.PERMERROR, Reason.TEMPERROR,
                      Reason.PASS, Reason.NO_MAIL})  # fmt: skip
_UNJUDGED = frozenset({Reason.AUTHENTICATED, Reason.LOCAL, Reason.NO_ADDRESS, Reason.CLIENT_EXEMPT,
                       Reason.SENDER_EXEMPT})  # fmt: skip
_MORE = {
    "en": {
        "plus_all": "That says little: the record lets everybody send.",
        "backup_mx": "{ip} is {backup_mx}, an MX of our own domain: put it into spf.relays.",
        "forwarder": "{ip} is a host of the known forwarder {forwarder}.",
        "relay": "It came through our relay {relay}; judged is the client before it.",
        "overruled": "{overruled}, which holds for another of the recipients, is more severe: one answer is given "
        "to all, and that is the mildest.",
        "dmarc_unknown": "The DMARC policy of {dmarc_unknown}, the domain in From, could not be looked up: so it was "
        "put off, and not left to DMARC.",
        "theirs": 'In the words of the domain\'s own admin: "{theirs}"',
    },
    "it": {
        "plus_all": "Dice poco: il record ammette chiunque.",
        "backup_mx": "{ip} è {backup_mx}, un MX del nostro dominio: va messo in spf.relays.",
        "forwarder": "{ip} è un host di {forwarder}, che inoltra posta a noi.",
        "relay": "È arrivato dal nostro relay {relay}; si giudica il client che lo precede.",
        "overruled": "{overruled}, che vale per un altro destinatario, è più severo: la risposta è una per tutti, "
        "ed è la più mite.",
        "dmarc_unknown": "La politica DMARC di {dmarc_unknown}, il dominio del From, non era raggiungibile: è stato "
        "rimandato, e non lasciato a DMARC.",
        "theirs": 'Nelle parole dell\'amministratore del dominio: "{theirs}"',
    },
}
_LACKS = {"en": "its record allows {allows}, and lacks {add}", "it": "il record ammette {allows}, e manca {add}"}
_REHEARSED = {
    "en": 'This is a rehearsal (spf.mode = "rehearse"): it was let through; enforced, it would have been refused.',
    "it": 'È una prova (spf.mode = "rehearse"): è stato lasciato passare; sul serio sarebbe stato rifiutato.',
}


_FOR = {"en": "for", "it": "per"}


_PROBLEMS_IT = {
    re.compile(r"the domain has no SPF record"): "il dominio non ha un record SPF",
    re.compile(r"([A-Z]+) of (\S+) can't be looked up \((.*)\)"): r"\1 di \2 non si può consultare (\3)",
    re.compile(r"there is no domain"): "non c'è un dominio",
    re.compile(r"the client's address can't be read"): "l'indirizzo del client non si può leggere",
    re.compile(r"the mail server gave no headers"): "il server di posta non ha dato le intestazioni",
    re.compile(r"The SPF record is too long(.*)"): r"il record SPF è troppo lungo\1",
    re.compile(r"A control character in the SPF record(.*)"): r"un carattere di controllo nel record SPF\1",
    re.compile(r"A term of the SPF record is too long(.*)"): r"un termine del record SPF è troppo lungo\1",
    re.compile(r"Two or more type TXT spf records found\.(.*)"): r"ci sono due o più record SPF\1",
    re.compile(r"Void lookup limit of (\d+) exceeded(.*)"): r"più di \1 domande DNS senza risposta\2",
    re.compile(r"Too many DNS lookups(.*)"): r"troppe domande DNS\1",
    re.compile(r"syntax error: (.*)"): r"errore di sintassi: \1",
}
"""What goes wrong most often. What pyspf says besides stays as it is."""
_CAUSES_IT = {"network": "rete", "timeout": "tempo scaduto", "temporary failure": "errore temporaneo",
              "loop": "giro senza fine"}  # fmt: skip


def _problem(said: str, language: str) -> str:
    if language != "it":
        return said
    for pattern, italian in _PROBLEMS_IT.items():
        if found := pattern.fullmatch(said):
            text = found.expand(italian)
            return _CAUSE.sub(lambda cause: f"({_CAUSES_IT.get(cause[1], cause[1])})", text)
    return said


_CAUSE = re.compile(r"\(([a-z ]+)\)\Z")


class _Facts(dict[str, str]):
    def __missing__(self, key: str) -> str:
        return "?"


def advice(reason: str, facts: Mapping[str, Fact], language: str) -> tuple[str, str]:
    """Return what is so, and who must do what; "" where nobody must."""
    language = language if language in _SENTENCES else "en"
    why, move = _SENTENCES[language].get(reason, ("", ""))
    filled = _filled(facts)
    filled["with"] = f" ({filled['mechanism']})" if "mechanism" in filled else ""
    filled["identity"] = {"mailfrom": "MAIL FROM", "helo": "HELO"}.get(filled["identity"], filled["identity"])
    filled["else"] = _ELSE[language] if filled["allows"] not in ("?", allows("")) else ""
    if "allows" in filled:
        filled["allows"] = in_language(filled["allows"], language)
    if "problem" not in filled and "result" in filled:
        filled["problem"] = filled["result"]
    if "problem" in filled:
        filled["problem"] = _problem(filled["problem"], language)
    filled["what"] = (_LACKS[language] if "allows" in filled else "{problem}").format_map(filled)
    said = {Reason.BACKUP_MX.value: "backup_mx", Reason.FORWARDER.value: "forwarder"}.get(reason)
    for name, sentence in _MORE[language].items():
        if facts.get(name) and name != said:
            why += f" {sentence}"
    if reason == Reason.NONE and not facts.get("domain", "?"):
        move = ""  # nobody owns it
    return why.format_map(filled), move.format_map(filled)


def explain(reason: str, facts: Mapping[str, Fact], language: str, rehearsed: bool) -> tuple[str, str]:
    """Return why it was decided so, and what happens next. In a rehearsal nobody was refused, and it says so."""
    language = language if language in _SENTENCES else "en"
    why, move = advice(reason, facts, language)
    said = [_REHEARSED[language]] if rehearsed else []
    if reason in _UNJUDGED:
        said.append(_DONE[language]["unjudged"])
    elif reason in _RESULTS:
        done = _DONE[language]["refused" if facts.get("by") else "rule" if facts.get("rule") else "accept"]
        said.append(done.format_map(_filled(facts)))
    return why, " ".join(filter(None, [*said, move]))


def _filled(facts: Mapping[str, Fact]) -> _Facts:
    return _Facts({name: str(fact) for name, fact in facts.items()})


def brief(reason: str, facts: Mapping[str, Fact], language: str) -> str:
    """Return a clause of the message's story: "SPF pass for tizio.it"; "" where SPF was not asked for."""
    if "result" not in facts:
        return ""
    domain, problem = facts.get("domain"), _problem(str(facts.get("problem", "")), language)
    about = f" {_FOR.get(language, _FOR['en'])} {domain}" if domain else f" ({problem})" if problem else ""
    text = f"SPF {facts['result']}{about}"
    return f"{text} ({facts['ip']})" if reason == Reason.OWN_MAIL_FAILS else text
