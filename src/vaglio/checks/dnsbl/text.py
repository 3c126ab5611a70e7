"""What a refused client is told, and the header of a message that was let in with a score.

Italian is written without accents: a reply may go to clients that did not ask for SMTPUTF8 (RFC 6531 3.7.4.1).
"""

from __future__ import annotations

from urllib.parse import quote

from vaglio.checks.dnsbl.decide import Decision, Hit
from vaglio.checks.dnsbl.settings import DnsblSettings
from vaglio.checks.replytext import cut
from vaglio.facts import Facts
from vaglio.verdict import Header

_ROOM = 330  # bytes of the reply before the reference, so that codes and Postfix's own words still fit
_REASON = 140  # characters of a list's own words

_WORDS = {
    "en": {
        "begin": "Service unavailable; ",
        "listed": "{what} listed by {name}",
        "client": "client [{about}]",
        "client_name": "client name {about}",
        "reverse_name": "client name {about}",
        "helo": "HELO name {about}",
        "sender": "sender domain {about}",
        "sender_ns": "name server {about} of the sender domain",
        "sender_mx": "mail server {about} of the sender domain",
        "see": "; see {url}",
        "ref": "; ref {ref}",
        "rule no_ptr": "client [{about}] has no name in the DNS",
        "rule unverified_ptr": "client [{about}] has a name in the DNS that does not lead back to it",
        "rule generic_name": "client name {about} looks like that of a dial-up line",
        "rule helo_address": "HELO {about} is not a name, nor the client's own address in brackets",
        "rule helo_unqualified": "HELO {about} is not a full host name",
        "rule helo_ours": "HELO {about} is our own name",
        "rule helo_unknown": "HELO name {about} has no address in the DNS",
        "rule helo_mismatch": "HELO name {about} does not belong to the client",
        "rule sender_unknown": "sender domain {about} takes no mail: it has neither MX nor address",
        "rule sender_bogus_mx": "sender domain {about} takes no mail: its mail servers can't be reached by anybody",
    },
    "it": {
        "begin": "Servizio non disponibile; ",
        "listed": "{what} si trova nella lista {name}",
        "client": "il client [{about}]",
        "client_name": "il nome {about} del client",
        "reverse_name": "il nome {about} del client",
        "helo": "il nome HELO {about}",
        "sender": "il dominio {about} del mittente",
        "sender_ns": "il name server {about} del dominio del mittente",
        "sender_mx": "il server di posta {about} del dominio del mittente",
        "see": "; vedi {url}",
        "ref": "; rif {ref}",
        "rule no_ptr": "il client [{about}] non ha un nome nel DNS",
        "rule unverified_ptr": "il client [{about}] ha un nome nel DNS che non riporta al suo indirizzo",
        "rule generic_name": "il nome {about} del client sembra quello di una linea domestica",
        "rule helo_address": "HELO {about} non e' un nome, e nemmeno l'indirizzo del client tra parentesi",
        "rule helo_unqualified": "HELO {about} non e' un nome completo",
        "rule helo_ours": "HELO {about} e' il nostro nome",
        "rule helo_unknown": "il nome HELO {about} non ha un indirizzo nel DNS",
        "rule helo_mismatch": "il nome HELO {about} non appartiene al client",
        "rule sender_unknown": "il dominio {about} del mittente non riceve posta: non ha ne' MX ne' indirizzo",
        "rule sender_bogus_mx": "il dominio {about} del mittente non riceve posta: nessuno raggiunge i suoi server",
    },
}


def reply_text(decision: Decision, ref: str, language: str, settings: DnsblSettings) -> str:
    """Return the text of a refusal in ``language`` (``en`` where there is none): what weighed most, the list's own
    reason, where to find help, the reference.
    """
    words = _WORDS.get(language, _WORDS["en"])
    hit = decision.hits[0]
    text = words["begin"] + sentence(hit, language)
    if hit.text:
        text += f" ({hit.text[:_REASON]})"
    for url in filter(None, (hit.url, settings.help_url)):
        text += words["see"].format(url=url)
    return cut(text, _ROOM) + (words["ref"].format(ref=ref) if ref else "")


def sentence(hit: Hit, language: str) -> str:
    """Return what a hit says, as a clause: ``client [192.0.2.7] listed by psbl``."""
    words = _WORDS.get(language, _WORDS["en"])
    about = hit.about[:100]
    if not hit.code:
        return words[hit.name].format(about=about)
    return words["listed"].format(what=words[hit.subject].format(about=about), name=hit.name)


def help_url(template: str, address: str, about: str) -> str:
    """Return a list's help page with {ip} and {name} filled in: percent-encoded, since names come from clients."""
    if not template:
        return ""
    ip, name = quote(address, safe=":.", errors="replace"), quote(about, safe=".-", errors="replace")
    return template.replace("{ip}", ip).replace("{name}", name)


def header(decision: Decision, facts: Facts, hostname: str) -> Header:
    """Return ``X-DNSBL``: the score and what makes it up."""
    hits = ", ".join(f"{hit.name} {hit.weight:+g}" for hit in decision.hits[:20] if not hit.shadow)
    return Header("X-DNSBL", f"{decision.score:g} ({hits}) for {facts.client.address} by vaglio at {hostname}")
