"""Facts about a message that rules are made of: what is missing, odd, or not what it says to be. Pure.

Each small function of ``headfacts``, ``wayfacts`` and ``bodyfacts`` looks at one thing, in linear time, and yields the
names of facts with what was found. A fact is no verdict: much of it occurs in wanted mail, and what it is worth is for
the rules to say.
"""

from __future__ import annotations

from collections.abc import Mapping

from vaglio.checks.score import bodyfacts, headfacts, wayfacts
from vaglio.checks.score.hops import border, hops_of, seconds_of
from vaglio.checks.score.mime import Oddity
from vaglio.checks.score.reading import Reading
from vaglio.checks.score.seen import ADDRESS, Circumstances, Seen, registered
from vaglio.names import registered_domain

__all__ = ["FACTS", "MAX_DETAIL", "Circumstances", "facts_of"]

MAX_DETAIL = 100
"""Characters of what was found."""

_LOOKS = (*headfacts.LOOKS, *wayfacts.LOOKS, *bodyfacts.LOOKS)

FACTS: Mapping[str, str] = {
    # the header
    "no-subject": "There is no subject, or an empty one",
    "subject-capitals": "The subject is in capitals alone",
    "subject-encoded": "The subject is encoded though all of it is ASCII",
    "subject-raw": "The subject, From or To has bytes beyond ASCII that are no UTF-8 and are not encoded",
    "subject-disguised": "The subject has a word whose letters are set apart, or letters meant for formulas",
    "subject-tail": "The subject ends in a row of blanks and something that tells mails apart",
    "subject-reply": "The subject says that this is an answer, and no message is named that it answers to",
    "subject-recipient": "The subject has the recipient's address, or the part of it in front of the @",
    "mixed-scripts": "Words of subject, author's name or text are of letters of two scripts that look alike",
    "from-missing": "There is no From, or one without an address",
    "from-several": "There is more than one From field",
    "from-name-address": "The name of the author is an address, and of another domain than the true one",
    "from-brand": "The name of the author has that of a well-known firm or authority, whose domain it is not",
    "from-free": "The author writes from a free mail service",
    "from-digits": "The author's address has many digits",
    "from-nameless": "The author has no name beside the address",
    "from-own-domain": "The author is said to be of the recipient's domain, and it came from a host of another one",
    "from-is-to": "The author and the one who is written to have the same address",
    "from-null-domain": "The author's address has no domain that there can be",
    "reply-to-free": "Answers go to a free mail service though the author is not there",
    "reply-to-other": "Answers go to another registered domain than the author's",
    "sender-other": "The envelope's sender is of another registered domain than the author",
    "date-missing": "There was no Date until a mail server put one in",
    "date-odd": "The Date is not written as mail's dates are, or can't be read",
    "date-past": "The Date lies a month or more before the message was sent",
    "date-future": "The Date lies hours after the message was sent",
    "message-id-missing": "There was no Message-ID until a mail server put one in",
    "message-id-odd": "The Message-ID is none: no angle brackets, no @, no host, or blanks in it",
    "message-id-bare": "The Message-ID names a host without a domain",
    "message-id-late": "The Message-ID was put in by a mail server on the way",
    "to-missing": "Neither To nor Cc is there",
    "to-undisclosed": "The recipients are not disclosed",
    "to-many": "Many recipients whose addresses begin alike",
    "fields-doubled": "A field that may be there once is there more than once",
    "priority": "It says to be of high priority",
    "mailer-forged": "It does not look like mail of the program that it says to come from",
    # the way
    "no-received": "No mail server is named on its way: it came from whoever wrote it",
    "client-nameless": "The host that handed it in has no name that leads back to it",
    "client-generic": "The host that handed it in is named like a line of a home",
    "helo-address": "The host that handed it in greeted with an address",
    "helo-bare": "The host that handed it in greeted with a name without a dot",
    "helo-ours": "The host that handed it in greeted with our name, or with the recipient's domain",
    "helo-other": "The host that handed it in greeted with a name of another domain than its own",
    "received-provider": "A host on the way greeted as one of a well-known provider, and is none",
    "received-forged": "A Received field names an address that there can't be, or says to be ours",
    "received-order": "The dates of Received fields run backwards",
    "null-sender": "It has no sender, as messages of mail servers have",
    "bounce": "It is a report of a mail server about an earlier message",
    "bounce-foreign": "It is a report about a message that did not come from here",
    "list": "It came through a mailing list, and has its fields",
    "bulk": "It says to be for many",
    "unsubscribe": "It says in its header how to get off the list",
    "conversation": "It answers a message, and quotes it",
    # the body
    "empty-body": "There is no text",
    "image-only": "There are a picture and a link, and next to no text",
    "html-only": "There is HTML and no plain text",
    "html-script": "The HTML has a script",
    "html-form": "The HTML has a form",
    "html-password": "The HTML asks for a password",
    "html-frame": "The HTML has a frame of another page",
    "html-refresh": "The HTML leads on to another page by itself",
    "html-handler": "The HTML has a script in an attribute, such as onload",
    "html-plugin": "The HTML has something to be run by a plug-in",
    "html-data-link": "A link or frame in the HTML has its page within itself (data:)",
    "html-data-image": "An image stands within the HTML (data:)",
    "html-image-map": "The HTML has an image of which places are links",
    "html-base": "The HTML says what its links are relative to",
    "page-long": "The HTML has more tags than are read one by one",
    "page-deep": "The HTML has more tags within each other than browsers take",
    "hidden-text": "Much of the text is not shown",
    "invisible": "Letters that can't be seen stand within words",
    "text-capitals": "Much of the text is in capitals",
    "text-short-link": "There is a link, and hardly any text",
    "base64-needless": "Plain ASCII text is encoded in base64",
    "gtube": "It has the test string for spam filters",
    "cut-off": "It is longer than what is read of it",
    "cut-before-text": "It is longer than what is read of it, and up to there is no text",
    "alternative-differs": "There is much plain text that is not in the page beside it, which readers are shown",
    "smuggling": "A script makes a file out of the message itself",
    # links
    "url-address": "A link leads to a bare address",
    "url-other-shown": "A link shows another host than it leads to",
    "url-punycode": "A link leads to a name in other letters than Latin ones",
    "url-scripts": "A link leads to a name whose letters look like others",
    "url-shortener": "A link hides where it leads to behind a shortener",
    "url-free-hosting": "A link leads to pages that anybody gets at once",
    "url-user": "A link has something in front of its host that looks like one",
    "url-port": "A link leads to an odd port",
    "url-hidden-host": "A link's host is written so that it can't be read",
    "url-recipient": "A link carries the recipient's address",
    "url-digits": "A link leads to a host whose name is of digits and letters mixed",
    "url-many-hosts": "Links lead to many hosts of one domain, and the author is not of it",
    "url-many-domains": "Links lead to fifty domains or more",
    # attachments
    "attachment-executable": "A file is attached that a double click runs",
    "attachment-double": "A file is attached that hides its ending behind another",
    "attachment-reversed": "The name of a file has marks that turn its letters round",
    "attachment-risky": "An image of a disk is attached, or a document that may hold programs",
    "attachment-page": "A web page is attached as a file",
    "attachment-locked": "An archive is attached, and its password stands in the text",
    "attachment-alone": "There is a file, and hardly any text",
    **{f"mime-{oddity}": "How the message is put together is odd: " + oddity.replace("-", " ") for oddity in Oddity},
    # authentication
    **{
        f"{method}={result}": f"{method.upper()} gives {result}"
        for method, words in {
            "spf": ("pass", "fail", "softfail", "neutral", "none", "permerror", "temperror"),
            "dkim": ("pass", "fail", "none", "neutral", "policy", "permerror", "temperror"),
            "dmarc": ("pass", "fail", "none", "permerror", "temperror"),
            "arc": ("pass", "fail", "none"),
        }.items()
        for result in words
    },
    "spf-aligned": "SPF passes for the author's domain",
    "dkim-aligned": "A DKIM signature of the author's domain passes",
}
"""All facts that there are: what each says."""


def facts_of(reading: Reading, circumstances: Circumstances) -> dict[str, str]:
    """Return the facts that hold, by name, each with what was found ("" where there is nothing to show)."""
    hops = hops_of(reading.values.get("received", ()))
    place, edge = border(hops, circumstances.client, circumstances.session.helo)
    written = ADDRESS.finditer(" ".join(reading.values.get("to", ()))[:500])
    to = tuple(one.lower() for one in circumstances.recipients[:20]) or tuple(one[0].lower() for one in written)
    own = {registered(one) for one in circumstances.recipients[:20]}
    own.add(registered_domain(circumstances.hostname))
    domain = registered(reading.author.address)
    times = tuple(seconds_of(hop.when) for hop in hops[:12])
    seen = Seen(reading, circumstances, hops, place, edge, domain, frozenset(own - {""}), times, to)
    found: dict[str, str] = {}
    for look in _LOOKS:
        for name, detail in look(seen):
            if name not in found and name in FACTS:  # checks before may give results of other methods, too
                found[name] = detail[:MAX_DETAIL]
    return found
