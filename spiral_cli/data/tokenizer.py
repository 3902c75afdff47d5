"""Text as numbers and back, by sentencepiece (Kudo and Richardson 2018)."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

from spiral_cli.errors import MissingError
from spiral_cli.extras import needed
from spiral_cli.recipe.data import Tokens

PAD, UNKNOWN, BEGIN, END = 0, 1, 2, 3
LONGEST = 2**14  # bytes of a text that sentencepiece learns from; it skips longer ones


def learnt(texts: Iterable[str], settings: Tokens, *, ends: bool = False) -> bytes:
    """Learn a vocabulary and return sentencepiece's model; the same texts give the same bytes.

    Padding is 0, an unknown piece 1 and, with ``ends``, the begin and the end of a text 2 and 3.

    Raises:
        MissingError: sentencepiece is not installed, or there is too little text.
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
            normalization_rule_name="nmt_nfkc_cf" if settings.lower else "nmt_nfkc",
            max_sentence_length=LONGEST,
            num_threads=1,
            minloglevel=2,
            pad_id=PAD,
            unk_id=UNKNOWN,
            bos_id=BEGIN if ends else -1,
            eos_id=END if ends else -1,
        )
    except (RuntimeError, OSError) as error:
        raise MissingError(f"data.tokens: no vocabulary can be learnt from the train part ({first(error)})") from error
    return model.getvalue()


@cache
def opened(model: bytes) -> Any:
    """Return sentencepiece's processor of a model."""
    return needed("sentencepiece", "text").SentencePieceProcessor(model_proto=model)


def numbers(model: bytes, texts: Sequence[str]) -> list[list[int]]:
    """Return the pieces of each text as numbers."""
    return opened(model).encode(list(texts), num_threads=1)


def text(model: bytes, pieces: Sequence[int]) -> str:
    """Return the text that ``pieces`` make."""
    return opened(model).decode([int(piece) for piece in pieces])


def vocabulary(model: bytes) -> list[str]:
    """Return what each number stands for."""
    processor = opened(model)
    return [processor.id_to_piece(number) for number in range(processor.vocab_size())]


def first(error: Exception) -> str:
    """Return the last part of what sentencepiece says, which is the reason."""
    return str(error).strip().rpartition("] ")[2] or str(error)
