"""What a refused client is told, and the results as headers: Received-SPF (RFC 7208 9.1), parts of
Authentication-Results.

Italian is written without accents: a reply may go to clients that did not ask for SMTPUTF8 (RFC 6531 3.7.4.1). pyspf's
own header text is never used: it lets line ends of strangers through.
"""

from __future__ import annotations

import re

from vaglio.checks.replytext import filled
from vaglio.checks.spf.decide import Decision, Found, Reason
from vaglio.checks.spf.outcome import Evaluation, Identity, Result
from vaglio.checks.spf.record import allowed, allows, clean, lets_all, term_for
from vaglio.checks.spf.settings import SpfSettings
from vaglio.verdict import Action, AuthResult, Header, Reply

_SHIPPED = {
    "en": {
        "fail": "SPF {result}: {ip} is not in the SPF record of {domain} ({identity}), which allows {allows}; "
        "{advice}{theirs}{help}",
        "bare": "SPF {result}: nothing tells that {ip} may send for {domain} ({identity}): {problem}{help}",
        "no_mail": "SPF fail: {domain} ({identity}) says in its SPF record that it sends no mail at all; if it does, "
        "its admin must put {advice} there{theirs}{help}",
        "permerror": "SPF permerror: the SPF record of {domain} ({identity}) can't be used: {problem}; its admin must "
        "repair it{help}",
        "temperror": "SPF temperror: the SPF record of {domain} ({identity}) could not be looked up: {problem}; please "
        "try again later{help}",
        "advice": "if this client is to send for it, its admin must add {term} there{else}",
        "else": ", or send through a host that it allows",
        "theirs": "; {domain} explains: \"{text}\"",
        "help": "; help: {help}",
    },
    "it": {
        "fail": "SPF {result}: {ip} non e' nel record SPF di {domain} ({identity}), che ammette {allows}; "
        "{advice}{theirs}{help}",
        "bare": "SPF {result}: nulla dice che {ip} possa spedire per {domain} ({identity}): {problem}{help}",
        "no_mail": "SPF fail: {domain} ({identity}) dichiara nel suo record SPF di non spedire posta; se la spedisce, "
        "il suo amministratore deve metterci {advice}{theirs}{help}",
        "permerror": "SPF permerror: il record SPF di {domain} ({identity}) non e' utilizzabile: {problem}; il suo "
        "amministratore deve correggerlo{help}",
        "temperror": "SPF temperror: il record SPF di {domain} ({identity}) non e' raggiungibile ora: {problem}; "
        "riprovare piu' tardi{help}",
        "advice": "se questo client deve spedire per il dominio, il suo amministratore deve aggiungervi {term}{else}",
        "else": ", o spedire da un host ammesso",
        "theirs": "; {domain} spiega: \"{text}\"",
        "help": "; aiuto: {help}",
    },
}  # fmt: skip
_NAMES = {Identity.MAIL_FROM: "MAIL FROM", Identity.HELO: "HELO"}
_THEIRS = 120
_LANGUAGES = frozenset(_SHIPPED)


def reply(decision: Decision, ref: str, language: str, settings: SpfSettings) -> Reply:
    """Return the refusal, in ``language`` where there is a text in it, with the codes of RFC 7372 3.2."""
    found = decision.found
    reply_text = text(decision, ref, language, settings)
    is_deferred = decision.action is Action.DEFER
    if found.result in (Result.PERMERROR, Result.TEMPERROR):
        enhanced = "7.24"  # SPF validation error
    elif found.result in (Result.FAIL, Result.SOFTFAIL):
        enhanced = "7.23"  # SPF validation failed
    else:
        enhanced = "7.1"
    return Reply(451, f"4.{enhanced}", reply_text) if is_deferred else Reply(550, f"5.{enhanced}", reply_text)


def text(decision: Decision, ref: str, language: str, settings: SpfSettings) -> str:
    """Return the text of a refusal, the reference at its end."""
    found, question = decision.found, decision.found.question
    if language not in _LANGUAGES and language not in settings.text:
        language = "en"
    words = _SHIPPED.get(language, _SHIPPED["en"])
    term = term_for(question.address)
    kind = _kind(decision)
    other = words["else"] if allowed(found.record) else ""
    advice = term if kind == "no_mail" else words["advice"].format_map({"term": term, "else": other})
    theirs = clean(found.theirs, _THEIRS)
    domain = clean(question.domain or question.helo, 80) or "?"
    values = {
        "ip": question.address,
        "domain": domain,
        "identity": _NAMES[question.identity],
        "result": found.result.value,
        "allows": allows(found.record, language),
        "advice": advice,
        "problem": clean(found.problem, 120) or found.result.value,
        "theirs": words["theirs"].format(domain=domain, text=theirs) if theirs else "",
        "help": words["help"].format(help=settings.help) if settings.help else "",
    }
    own = settings.text.get(language)
    template = getattr(own, "fail" if kind == "bare" else kind) if own else ""
    if template:
        values |= {"theirs": theirs, "help": settings.help}
    return filled(template or words[kind], values, ref)


def _kind(decision: Decision) -> str:
    """Return which text it is."""
    if decision.reason is Reason.NO_MAIL:
        return "no_mail"
    result = decision.found.result
    if result in (Result.PERMERROR, Result.TEMPERROR):
        return result.value
    return "fail" if decision.found.record else "bare"


# --- headers ---


def summary(found: Evaluation) -> str:
    """Return a result in a few words, for headers; "" for a pass, which needs none but where everybody passes."""
    if found.result is Result.PASS:
        return "the record lets everybody send" if lets_all(found) else ""
    domain, address = clean(found.question.domain, 120), found.question.address
    match found.result:
        case Result.FAIL | Result.SOFTFAIL:
            return f"{address} is not in the SPF record of {domain}"
        case Result.NEUTRAL:
            return f"the SPF record of {domain} says nothing of {address}"
        case _:
            return clean(found.problem, 160)


def results(found: Found) -> tuple[AuthResult, ...]:
    """Return what goes into Authentication-Results: MAIL FROM, then HELO (RFC 8601 2.7.2)."""
    return tuple(
        AuthResult("spf", one.result.value, (_property(one),), reason=summary(one)) for one in found.evaluations
    )


def _property(one: Evaluation) -> tuple[str, str]:
    """Return what was judged, as it came: whoever writes the header cleans it."""
    question = one.question
    if question.identity is Identity.HELO:
        return "smtp.helo", (question.domain or question.helo)[:253]
    return "smtp.mailfrom", question.said or question.sender


_DOT_ATOM = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*", re.ASCII)


def received_spf(found: Found, receiver: str, hostname: str) -> tuple[Header, ...]:
    """Return a Received-SPF for each identity; ``hostname`` is who judged, ``receiver`` who is said to receive."""
    return tuple(Header("Received-SPF", _received_spf(one, found, receiver, hostname)) for one in found.evaluations)


def _received_spf(one: Evaluation, found: Found, receiver: str, hostname: str) -> str:
    question = one.question
    said = summary(one) or f"{clean(question.domain, 120)} allows {question.address}"
    pairs = [
        ("client-ip", question.address),
        ("envelope-from", "" if found.is_null_sender else found.mail_from.question.sender),
        ("helo", question.helo),
        ("receiver", receiver),
        ("identity", one.question.identity.value),
        ("mechanism", one.mechanism),
        ("problem", one.problem if one.result in (Result.PERMERROR, Result.TEMPERROR) else ""),
    ]
    listed = "; ".join(f"{key}={_value(value)}" for key, value in pairs if value)
    return f"{one.result.value} ({_comment(f'{hostname}: {said}')}) {listed}"


def _value(text: str) -> str:
    """Return a value as dot-atom or quoted-string (RFC 5322 3.2.3 and 3.2.4)."""
    text = clean(text, 320)
    if _DOT_ATOM.fullmatch(text):
        return text
    quoted = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{quoted}"'


def _comment(text: str) -> str:
    """Return a text that can stand between parentheses."""
    return re.sub(r"([\\()])", r"\\\1", clean(text, 300))
