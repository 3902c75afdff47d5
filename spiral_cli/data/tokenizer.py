"""Text as numbers and back, by sentencepiece (Kudo and Richardson 2018)."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any

from spiral_cli.errors import MissingError, UsageError
from spiral_cli.extras import needed
from spiral_cli.recipe.data import Tokens

PAD, UNKNOWN, BEGIN, END = 0, 1, 2, 3
SPACE = "▁"  # which sentencepiece writes for it
LONGEST = 2**14  # bytes of a text that sentencepiece learns from; it skips longer ones


def learnt(texts: Iterable[str], settings: Tokens, *, translation: bool = False) -> bytes:
    """Learn a vocabulary and return sentencepiece's model; the same texts give the same bytes.

    Padding is 0, an unknown piece 1 and, of a translation, the begin and the end of a text 2 and 3.

    What only looks different is one (NFKC: full-width letters, ligatures, …), which makes fewer pieces. But a
    translation is compared with its reference as somebody wrote it, and NFKC would rewrite what people mean: every
    comma of Chinese, "…" and "½". So there the characters stay as they are, unless they are to be small.

    Raises:
        MissingError: sentencepiece is not installed, or there is too little text.
        UsageError: there are more characters than pieces.
    """
    model = io.BytesIO()
    try:
        needed("sentencepiece", "text").SentencePieceTrainer.train(
            sentence_iterator=iter(texts),
            model_writer=model,
            model_type=settings.kind,
            vocab_size=settings.vocabulary,
            hard_vocab_limit=False,  # few texts have fewer pieces
            use_all_vocab=settings.kind == "char",
            character_coverage=1.0,
            normalization_rule_name=rule(settings, translation),
            max_sentence_length=LONGEST,
            num_threads=1,
            minloglevel=2,
            pad_id=PAD,
            unk_id=UNKNOWN,
            bos_id=BEGIN if translation else -1,
            eos_id=END if translation else -1,
        )
    except (RuntimeError, OSError) as error:
        refuse_few_pieces(str(error), settings, 4 if translation else 2)
        raise MissingError(f"data.tokens: no vocabulary can be learnt from the train part ({first(error)})") from error
    return model.getvalue()


def rule(settings: Tokens, translation: bool = False) -> str:
    """Return sentencepiece's name of what becomes of characters before pieces are made of them."""
    if settings.lower:
        return "nmt_nfkc_cf"
    return "identity" if translation else "nmt_nfkc"


def refuse_few_pieces(told: str, settings: Tokens, own: int) -> None:
    """Raise UsageError where sentencepiece says, in ``told``, that not every character can be a piece.

    Args:
        told: its message, which counts pieces.
        settings: what was asked for.
        own: pieces that are no characters, such as padding.
    """
    if found := re.search(r"smaller than required_chars\. \d+ vs (\d+)", told):
        least = int(found[1])
        raise UsageError(
            f"data.tokens.vocabulary: received {settings.vocabulary}; the train part has {least - own} different "
            f"characters, each of which needs a piece, and so do {own} marks such as padding: raise "
            f"data.tokens.vocabulary to at least {least}, or set data.tokens.kind to word"
        )


def blank(texts: Sequence[str]) -> list[bool]:
    """Say of each text whether it has no piece, whatever the vocabulary: it is empty, or nothing in it is seen."""
    normalizer = needed("sentencepiece", "text").SentencePieceNormalizer(rule_name="nmt_nfkc")
    return [not one.strip(SPACE) for one in normalizer.normalize(list(texts))]


@cache
def opened(model: bytes) -> Any:
    """Return sentencepiece's processor of a model."""
    return needed("sentencepiece", "text").SentencePieceProcessor(model_proto=model)


def numbers(model: bytes, texts: Sequence[str]) -> list[list[int]]:
    """Return the pieces of each text as numbers.

    Raises:
        MissingError: a text has bytes that are no UTF-8, as a shell passes them on.
    """
    try:
        return opened(model).encode(list(texts), num_threads=1)
    except TypeError as error:
        strange = next((one for one in texts if any("\ud800" <= letter <= "\udfff" for letter in one)), None)
        if strange is None:
            raise
        raise MissingError(f"{strange!r} is no text in UTF-8; convert it, or set the terminal to UTF-8") from error


def strangers(pieces: Mapping[str, Sequence[Sequence[int]]], what: str, kind: str) -> list[str]:
    """Return a sentence for each part but train of which some ``what`` hold characters that train has not.

    Of whole words, of which most sets have new ones, nothing is said.

    Args:
        pieces: numbers of the pieces of every text, by part.
        what: the texts are called.
        kind: of pieces, as `Tokens.kind`.
    """
    if kind == "word":
        return []
    held = {part: sum(UNKNOWN in one for one in many) for part, many in pieces.items() if part != "train"}
    return [
        f"{count} of {len(pieces[part])} {part} {what} hold characters that train has not"
        for part, count in held.items()
        if count
    ]


def text(model: bytes, pieces: Sequence[int]) -> str:
    """Return the text that ``pieces`` make."""
    return opened(model).decode([int(piece) for piece in pieces])


def spelled(model: bytes, texts: Sequence[str]) -> list[str]:
    """Return each text as its pieces spell it, characters that have no piece among them.

    It is what a model that is always right says, so what a transcript is to be compared with.
    """
    pieces = opened(model).encode(list(texts), out_type=str, num_threads=1)
    return ["".join(one).replace(SPACE, " ").strip() for one in pieces]


def vocabulary(model: bytes) -> list[str]:
    """Return what each number stands for."""
    processor = opened(model)
    return [processor.id_to_piece(number) for number in range(processor.vocab_size())]


def first(error: Exception) -> str:
    """Return the last part of what sentencepiece says, which is the reason."""
    return str(error).strip().rpartition("] ")[2] or str(error)
