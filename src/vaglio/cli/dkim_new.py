"""``vaglio dkim new``: keys for a domain, and what is to be published for them."""

from __future__ import annotations

import argparse
from pathlib import Path

from vaglio.checks.dkim.signing.make import USUAL_BITS, new_key
from vaglio.checks.dkim.signing.record import record_name, record_text, zone_lines
from vaglio.checks.dkim.signing.ring import Algorithm, Ring, begin, fresh_selectors, switch
from vaglio.checks.dkim.signing.sign import PrivateKey
from vaglio.cli.arguments import unix_time
from vaglio.cli.common import (
    CliError,
    Commands,
    command,
    configuration,
    day_of,
    now,
    print_json,
    said,
    usual_options,
    warn,
)
from vaglio.cli.dkim_folder import Change, Folder, domain, key_directory, selector, who_reads
from vaglio.cli.dkim_records import ToPublish, show
from vaglio.names import registered_domain

_BOTH: tuple[Algorithm, ...] = ("rsa", "ed25519")
_MORE = """\
Makes an RSA and an Ed25519 key in key_dir of [dkim.sign], in the folder of the domain; both sign each message. They do
not sign yet: publish the records, then run "vaglio dkim rotate DOMAIN", which lets them sign once all name servers tell
them. Selectors are the day with an r or an e behind it. Nothing that is there is changed. Run by root, the files belong
to root and the group vaglio may read them: this and "vaglio dkim rotate" are root's work."""


def add_to(commands: Commands) -> None:
    """Add the subcommand."""
    parser = command(
        commands, "new", _new, "make keys for a domain and print the DNS records for them",
        "vaglio dkim new tizio.it\n"
        "vaglio dkim new tizio.it --zone-file tizio.it.dkim\n"
        "vaglio dkim new tizio.it --only rsa --selector mail2026 --rsa-bits 4096",
        _MORE,
    )  # fmt: skip
    parser.add_argument("domain", type=domain, metavar="DOMAIN", help="the domain of the authors")
    parser.add_argument("--selector", type=selector, metavar="S",
                        help="selector in place of the day; with two keys, Sr and Se")  # fmt: skip
    bits_option(parser)
    parser.add_argument("--only", choices=_BOTH, help="one key, of this kind (Ed25519 alone is not verified by all)")
    parser.add_argument("--sign-now", action="store_true",
                        help="sign at once, whether the records are published or not")  # fmt: skip
    parser.add_argument("--zone-file", type=Path, metavar="FILE",
                        help="write the zone-file lines there, too: a file that is not there yet")  # fmt: skip
    parser.add_argument("--now", type=unix_time, metavar="UNIX", help="the time, for selectors and keys.json")
    usual_options(parser)


def bits_option(parser: argparse.ArgumentParser) -> None:
    """Add ``--rsa-bits``."""
    parser.add_argument("--rsa-bits", type=bits, default=USUAL_BITS, metavar="N",
                        help=f"bits of the RSA key, 2048 to 4096 (default {USUAL_BITS})")  # fmt: skip


def bits(text: str) -> int:
    """Read how many bits a key shall have."""
    number = int(text) if text.isascii() and text.isdigit() and len(text) < 6 else 0
    if number and number < USUAL_BITS:
        raise argparse.ArgumentTypeError(f"found {number}: keys of fewer than 2048 bits can be broken, and others stop "
                                         "to accept them (RFC 8301 3.2); wanted 2048 to 4096")  # fmt: skip
    if not USUAL_BITS <= number <= 4096:
        raise argparse.ArgumentTypeError(f"found {text!r}, wanted 2048 to 4096: nobody need verify longer ones")
    return number


def make(change: Change, ring: Ring, selectors: dict[Algorithm, str], rsa_bits: int, unix: float) -> Ring:
    """Make keys, put them into the folder, and return the ring with them. Raises CliError, OSError."""
    try:
        ring = begin(ring, selectors, unix)
    except ValueError as error:
        raise CliError(f"{error}: a selector is never used twice, since others may remember its record") from error
    for key in ring.of("new"):
        if selectors.get(key.algorithm) == key.selector:
            try:
                change.add(key.file, new_key(key.algorithm, rsa_bits))
            except FileExistsError:
                raise CliError(f"there is a file {key.file} already: take another --selector") from None
    return ring


def selectors_for(change: Change, ring: Ring, algorithms: tuple[Algorithm, ...], unix: float) -> dict[Algorithm, str]:
    """Return unused selectors of the day."""
    return fresh_selectors(ring, algorithms, day_of(unix).replace("-", ""), change.taken())


def to_publish(domain_name: str, name: str, key: PrivateKey) -> ToPublish:
    """Return the record of a key."""
    return ToPublish(domain_name, record_name(domain_name, name), record_text(key))


def remark_on_bits(rsa_bits: int) -> None:
    """Say what is to be known of long keys."""
    if rsa_bits > USUAL_BITS:
        warn(f"a record of {rsa_bits} bits takes several strings, and with others at its name may not fit into a "
             "datagram: see whether your DNS can carry it (vaglio dkim check)")  # fmt: skip


def _new(args: argparse.Namespace) -> int:
    loaded = configuration(args)
    if not registered_domain(args.domain):
        warn(f"{args.domain} is a public suffix, below which others register domains: is it yours?")
    folder = Folder(key_directory(loaded), args.domain)
    algorithms: tuple[Algorithm, ...] = (args.only,) if args.only else _BOTH
    if args.zone_file and args.zone_file.exists():
        raise CliError(f"{args.zone_file} is there already: nothing is overwritten")
    if "rsa" in algorithms:
        remark_on_bits(args.rsa_bits)
    unix = now(args)
    with folder.change() as change:
        ring = change.load()
        if under_way := [key.selector for key in ring.of("new") if key.algorithm in algorithms]:
            raise CliError(f"{args.domain} has new keys under way: {', '.join(under_way)}; publish them, then run "
                           f"vaglio dkim rotate {args.domain}")  # fmt: skip
        chosen = _selectors(args, algorithms) or selectors_for(change, ring, algorithms, unix)
        ring = make(change, ring, chosen, args.rsa_bits, unix)
        change.save(switch(ring, unix) if args.sign_now else ring)
        rows = [(key, change.key(key)) for key in ring.keys if chosen.get(key.algorithm) == key.selector]
    records = [to_publish(args.domain, key.selector, private) for key, private in rows]
    _write(args.zone_file, records)
    if words := who_reads(folder.path.parent):
        warn(words)
    if args.json:
        state = "signing" if args.sign_now else "new"
        keys = [{"selector": key.selector, "algorithm": key.algorithm, "bits": private.bits, "state": state,
                 "file": str(folder.path / key.file), **record.row()}
                for (key, private), record in zip(rows, records, strict=True)]  # fmt: skip
        print_json({"domain": args.domain, "directory": str(folder.path), "keys": keys})
    else:
        _tell(args, folder, records)
    return 0


def _selectors(args: argparse.Namespace, algorithms: tuple[Algorithm, ...]) -> dict[Algorithm, str]:
    if not args.selector:
        return {}
    if len(algorithms) == 1:
        return {algorithms[0]: args.selector}
    return {"rsa": f"{args.selector}r", "ed25519": f"{args.selector}e"}


def _write(file: Path | None, records: list[ToPublish]) -> None:
    if file is not None:
        try:
            with file.open("x") as out:
                out.writelines(f"{zone_lines(one.name, one.text)}\n" for one in records)
        except OSError as error:
            raise CliError(f"the keys are made, but {file}: {said(error)}") from error


def _tell(args: argparse.Namespace, folder: Folder, records: list[ToPublish]) -> None:
    print(f"{args.domain}: made in {folder.path}; publish these records.\n")
    show(records)
    if args.sign_now:
        print(f'\nThey sign from now on. Publish them at once, and see with "vaglio dkim check {args.domain}".')
    else:
        print("\nThen, as soon as all name servers tell them, this lets them sign (it says so if they don't yet):\n"
              f"  vaglio dkim rotate {args.domain}")  # fmt: skip
