"""RoBERTa's shape under another name."""

from tests.reference.entries.roberta import ENTRY

__all__ = ["ENTRY"]
