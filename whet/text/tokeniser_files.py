"""The files of a tokeniser: older ones are converted, and all are written beside a saved model."""

import importlib.util
import json
import shutil
from pathlib import Path
from typing import Any, Final

from tokenizers import Tokenizer

from whet.errors import CheckpointError
from whet.files import write_json, write_text

_SETTINGS: Final = "tokenizer_config.json"
ROLES: Final = ("pad", "unk", "cls", "sep", "mask", "bos", "eos")
_OLDER: Final = ("special_tokens_map.json", "added_tokens.json", "vocab.txt", "vocab.json", "merges.txt")
_COPIED: Final = (_SETTINGS, *_OLDER, "*.model")


def converted(folder: Path) -> Tokenizer:
    """By transformers, from the files of older folders. Raises CheckpointError."""
    names = sorted(path.name for path in folder.glob("*"))
    pieces = [name for name in names if name.endswith(".model")]  # spm, spiece, sentencepiece.bpe
    if not pieces and "vocab.txt" not in names and not {"vocab.json", "merges.txt"} <= set(names):
        raise CheckpointError(
            f"{folder} has no tokeniser: tokenizer.json is missing, and so are older files that it could be "
            "made of: vocab.txt, vocab.json with merges.txt, or a SentencePiece .model. Copy it from where "
            "the encoder was published."
        )
    if pieces and any(_is_missing(package) for package in ("sentencepiece", "google.protobuf")):
        raise CheckpointError(
            f"{folder} has no tokenizer.json, and its {pieces[0]} takes two more packages to read. Install "
            "them: pip install sentencepiece protobuf. Or write tokenizer.json on a machine that has them, "
            "with AutoTokenizer.from_pretrained(FOLDER).save_pretrained(FOLDER) of transformers."
        )
    from transformers import AutoTokenizer  # slow to import, and only old folders need it

    try:
        found: Any = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except Exception as error:
        raise CheckpointError(f"{folder}: its tokeniser cannot be loaded ({_line(error)}).") from None
    if not found.is_fast:
        raise CheckpointError(
            f"{folder}: its tokeniser, {type(found).__name__}, is written in Python; whet reads those of the "
            "tokenizers library only. Take an encoder that has a tokenizer.json."
        )
    return Tokenizer.from_str(found.backend_tokenizer.to_str())


def _is_missing(package: str) -> bool:
    try:
        return importlib.util.find_spec(package) is None
    except ModuleNotFoundError:  # of what holds it
        return True


def _line(error: Exception) -> str:
    return " ".join(str(error).split())


def settings_of(folder: Path) -> dict[str, Any]:
    """tokenizer_config.json, empty where there is none. Raises CheckpointError."""
    path = folder / _SETTINGS
    try:
        found = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path} cannot be read as JSON ({error}). Copy it again.") from None
    if not isinstance(found, dict):
        raise CheckpointError(f"{path}: expected an object. Copy it again.")
    return found


def special_tokens(folder: Path) -> dict[str, str]:
    """Role (pad, unk ...) -> token, as the tokeniser's own files name them."""
    found: dict[str, str] = {}
    for name in ("tokenizer_config.json", "special_tokens_map.json"):
        try:
            content = json.loads((folder / name).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        for role in ROLES:
            token = content.get(f"{role}_token") if isinstance(content, dict) else None
            token = token.get("content") if isinstance(token, dict) else token
            if isinstance(token, str):
                found[role] = token
    return found


def write_files(backend: Tokenizer, source: Path, folder: Path, behind_blanks: bool) -> None:
    """Write tokenizer.json, and copy from source what stands beside it.

    behind_blanks: byte-level BPE is saved with add_prefix_space, so that transformers reads the first word of
    a text, and every word of a list, as one behind a blank."""
    for path in sorted(path for pattern in _COPIED for path in source.glob(pattern)):
        shutil.copyfile(path, folder / path.name)
    text = backend.to_str(pretty=True)
    if behind_blanks:
        content = json.loads(text)
        for part in ("pre_tokenizer", "post_processor"):
            if "add_prefix_space" in (content[part] or {}):
                content[part]["add_prefix_space"] = True
        text = json.dumps(content, ensure_ascii=False, indent=2)
        # There transformers' own classes look, and not in tokenizer.json.
        write_json(folder / _SETTINGS, settings_of(folder) | {"add_prefix_space": True})
    write_text(folder / "tokenizer.json", text)
