"""Every decision that is not a plain pass, kept and searchable by its reference."""

from vaglio.journal.entry import Entry
from vaglio.journal.query import JournalError, JournalReader
from vaglio.journal.references import normalise, references
from vaglio.journal.schema import FILE_NAME
from vaglio.journal.writer import JournalWriter

__all__ = ["FILE_NAME", "Entry", "JournalError", "JournalReader", "JournalWriter", "normalise", "references"]
