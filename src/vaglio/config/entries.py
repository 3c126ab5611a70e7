"""Entries of lists that stand in the configuration itself: each is checked as the kind of list does that takes it.

What an entry means is ``vaglio.lists``' matter.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator

from vaglio.lists import AddressList, ClientList, NetworkSet


def _entry(kind: type[ClientList] | type[AddressList] | type[NetworkSet]) -> AfterValidator:
    """Let an entry through that this kind of list takes."""

    def validate(text: str) -> str:
        for problem in kind.parse([text], "")[1]:
            raise ValueError(problem.wanted)
        return text

    return AfterValidator(validate)


ClientEntry = Annotated[str, _entry(ClientList)]
AddressEntry = Annotated[str, _entry(AddressList)]
Network = Annotated[str, _entry(NetworkSet)]
