"""The scenes once more, without a mail server: ``vaglio try`` must tell of a message what the chains told of it.

A message of tizio's users is played through his outbound chain as they wrote it, and through caio's inbound chain as it
arrived: what that host has put on top, ``vaglio try`` leaves out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from lab.scenes import FORGER, OFFICE, TRIED, Scene
from lab.space import HOME
from lab.vaglio import CONFIG, said, tried
from lab.world import TIZIO, TIZIOS_CONFIG, World

_NAMES = {TIZIO.address: TIZIO.name, FORGER: "mail.sempronio.it"}
"""Of clients, as caio's Postfix finds them in the DNS."""


class Trial(NamedTuple):
    """A message and a chain; ``options`` say who sends it."""

    chain: str
    message: bytes
    options: tuple[str, ...]
    config: str = CONFIG


def trials(scene: Scene, sent: bytes, landed: Sequence[bytes]) -> list[Trial]:
    """Return what is to be tried of a scene that was played."""
    if not scene.user:
        return [Trial("inbound", sent, ("--ip", _named(scene.way), "--helo", "client.example"))]
    submitted = Trial("outbound", sent, ("--ip", OFFICE, "--login", scene.user), TIZIOS_CONFIG)
    come = ("--ip", _named(TIZIO.address), "--helo", TIZIO.name)
    return [submitted, *(Trial("inbound", one, come) for one in landed[:1])]


def _named(address: str) -> str:
    name = _NAMES.get(address)
    return f"{name}[{address}]" if name else address


def missing(world: World, scene: Scene, sent: bytes, landed: Sequence[bytes], decided: Sequence[str]) -> list[str]:
    """Return what was ``decided`` by chains, as scenes tell it, and is not told again."""
    again = []
    for trial in trials(scene, sent, landed):
        found = tried(world.space, *_arguments(world, scene, trial), config=trial.config)
        again.append(f"vaglio-chain {trial.chain}: {found.story}")
    return [f"vaglio try does not tell {what!r}, but {again}"
            for what in decided if what.startswith("vaglio-chain ") and what not in again]  # fmt: skip


def in_words(world: World, scene: Scene, sent: bytes) -> str:
    """Return all that ``vaglio try`` says of a message that came to caio's as it was sent."""
    return said(world.space, "try", *_arguments(world, scene, trials(scene, sent, ())[0]))


def _arguments(world: World, scene: Scene, trial: Trial) -> tuple[str, ...]:
    """Write the message to a file; return what ``vaglio try`` wants to know."""
    file = f"{HOME}/scene{TRIED.index(scene)}.eml"
    world.space.path(file).write_bytes(trial.message)
    return (file, "--chain", trial.chain, "--from", scene.sender, "--to", scene.recipient, *trial.options)
