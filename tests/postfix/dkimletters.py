"""Messages that are hard on signatures, in the form of their headers or of their bodies; with LF line ends."""

from __future__ import annotations

from collections.abc import Mapping

HEAD = b"From: Tizio <tizio@tizio.it>\nTo: Caio <caio@caio.it>\nSubject: ciao\nDate: Tue, 14 Nov 2023 22:13:20 +0000\n"
LETTERS: Mapping[str, bytes] = {
    "plain": HEAD + b"\nCiao Caio!\n",
    "8-bit body": HEAD + "MIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\n"
    "Content-Transfer-Encoding: 8bit\n\nPerché no?\nÈ così. \xa0\n".encode(),
    "8-bit fields": HEAD + "X-Caffè: perché\nX-Umore: è così\n\nCiao\n".encode(),
    "8-bit subject": HEAD.replace(b"ciao", "perché no".encode()) + b"\nCiao\n",
    "encoded words": HEAD.replace(b"ciao", b"=?utf-8?q?perch=C3=A9?=\n =?utf-8?b?IG5vPw==?=") + b"\nCiao\n",
    "folded": HEAD + b"Cc: Uno <uno@tizio.it>,\n\tDue <due@tizio.it>,\n    \"Tre, il terzo\"\n \t <tre@tizio.it>  \n"
    b"References:  <a@tizio.it>\n  <b@tizio.it>\n\t<c@tizio.it>\t\n\nCiao\n",
    "no blank behind the colon": b"From:tizio@tizio.it\nTo:caio@caio.it\nSubject:ciao\nDate:x\n\nCiao\n",
    "blanks behind the colon": b"From:   tizio@tizio.it\nTo:\tcaio@caio.it\nSubject: \t ciao \t \nDate:\n x\n\nCiao\n",
    "little header": b"From: tizio@tizio.it\n\nCiao\n",
    "addresses": b"From: tizio@tizio.it (Tizio)\nTo: \"Uno, due\" <uno@caio.it>, " + b", ".join([b"tre@caio.it"] * 60)
    + b"\nCc: caio, altri: a@caio.it, b@caio.it;, undisclosed-recipients:;\nReply-To:\n\nCiao\n",
    "fields twice": HEAD + b"Comments: uno\nComments: due\nTo: altri@caio.it\n\nCiao\n",
    "very long header": HEAD + b"References:" + b"".join(b"\n <%05d@tizio.it>" % one for one in range(1500))
    + b"\nX-Long: " + b"x" * 900 + b"\n\nCiao\n",
    "mailing list": b"Received: from a by b; Tue, 14 Nov 2023 22:13:20 +0000\nReturn-Path: <lista@tizio.it>\n"
    + HEAD + b"Sender: lista@tizio.it\nReply-To: lista@tizio.it\nPrecedence: list\nList-Id: La lista <lista.tizio.it>\n"
    b"List-Post: <mailto:lista@tizio.it>\nList-Unsubscribe: <https://tizio.it/u?1>,\n\t<mailto:u@tizio.it>\n"
    b"List-Unsubscribe-Post: List-Unsubscribe=One-Click\nErrors-To: e@tizio.it\n\nCiao\n-- \nLa lista\n",
    "dots": HEAD + b"\n.\n..\n...\n.ciao\n. \n\n.\n",
    "no body": HEAD,
    "body of empty lines": HEAD + b"\n\n\n\n\n",
    "no end of line at the end": HEAD + b"\nCiao\nCaio",
    "trailing blanks": HEAD + b"\nCiao  \n\t\n  \n \t Caio\t \n\n \n",
    "tabs": HEAD + b"\n\tCiao\t\tCaio\n\t\n \tvediamoci\tqui \t.\n",
    "very long body": HEAD + b"\n" + b"Ciao  Caio, \nvediamoci.\t\n\n" * 5_000,
}  # fmt: skip
TOO_LONG = HEAD + b"\n" + b"x" * 1500 + b"\n"
"""A line that is longer than SMTP has them (RFC 5321 4.5.3.1.6)."""
