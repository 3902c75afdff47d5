"""Files of sound as samples: decoded by libsndfile, mixed down to one channel, resampled to one rate."""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from math import gcd
from pathlib import Path
from types import ModuleType

import numpy as np

from spiral_cli.data.class_files import hidden
from spiral_cli.errors import MissingError
from spiral_cli.extras import needed

SUFFIXES = (".wav", ".flac")  # of files looked for in folders; a table may name whatever libsndfile reads
BLOCK = 128  # files whose samples are in memory at once
NAMED = 5  # damaged files that a message names
FASTEST = 10**6  # samples a second: a file that says more is damaged, and would take all memory to resample
UNKNOWN = 0x7FFFF000  # sizes from here on are written by programs that stream and do not know them


@dataclass(frozen=True)
class Recording:
    """What a file of sound holds.

    Attributes:
        samples: (n,) float32 from -1 to 1, of one channel, at the rate that was asked for; n may be 0.
        rate: samples a second in the file.
        channels: how many there are in the file.
    """

    samples: np.ndarray
    rate: int
    channels: int


@dataclass(frozen=True)
class Cut:
    """Which part of a file is meant: from second ``start`` on, ``seconds`` of it, or all the rest."""

    start: float = 0.0
    seconds: float | None = None


WHOLE = Cut()


@contextmanager
def refusing(file: Path) -> Iterator[ModuleType]:
    """Yield soundfile to read ``file`` by.

    Raises:
        MissingError: it cannot be read, or is no sound; the message names it.
    """
    soundfile = needed("soundfile", "audio")
    try:
        yield soundfile
    except OSError as error:
        raise MissingError(f"{file} cannot be read ({error.strerror or error})") from error
    except (soundfile.SoundFileError, TypeError, ValueError, MemoryError) as error:
        reason = getattr(error, "error_string", None) or error
        raise MissingError(f"{file} cannot be read as audio ({reason}); replace or remove it") from error


def seconds_of(file: Path) -> float:
    """Return how long a file of sound is, by its head alone; raises as `refusing`."""
    with refusing(file) as soundfile, soundfile.SoundFile(file) as sound:
        return sound.frames / sound.samplerate


def read_audio(file: Path, rate: int, cut: Cut = WHOLE) -> Recording:
    """Read a file of sound.

    Integers of 8 to 32 bits become numbers from -1 to 1, several channels their mean. A file of no bytes is a
    recording of no samples.

    Args:
        file: of any format that libsndfile reads; its content says which, not its name.
        rate: samples a second to have.
        cut: the part to read; what is behind the end is not there.

    Raises:
        MissingError: there is no such file, it is no sound, it ends too early or holds NaN; the message names it.
    """
    with refusing(file) as soundfile:
        if not file.stat().st_size:
            return Recording(np.zeros(0, np.float32), rate, 1)
        refuse_truncated_wav(file)
        with soundfile.SoundFile(file) as sound:
            own, channels = sound.samplerate, sound.channels
            if own > FASTEST:
                raise MissingError(f"{file} says {own} samples a second, which none has; replace or remove it")
            begin = min(round(cut.start * own), sound.frames)
            left = sound.frames - begin
            frames = left if cut.seconds is None else min(round(cut.seconds * own), left)
            if begin:
                sound.seek(begin)
            samples = sound.read(frames, dtype="float32", always_2d=True)  # (n, channels)
    if len(samples) < frames:
        raise MissingError(f"{file} is truncated: it holds {len(samples)} of {frames} samples; replace or remove it")
    if not np.isfinite(samples).all():
        raise MissingError(f"{file} holds samples that are NaN or infinite; replace or remove it")
    return Recording(resampled(samples.mean(axis=1, dtype=np.float32), own, rate), own, channels)


def resampled(samples: np.ndarray, own: int, rate: int) -> np.ndarray:
    """Return samples (n,) of one rate at another, (ceil(n · rate / own),) float32, by a polyphase filter."""
    if own == rate or not len(samples):
        return samples
    from scipy.signal import resample_poly

    common = gcd(own, rate)
    return resample_poly(samples, rate // common, own // common).astype(np.float32)


def faster(samples: np.ndarray, speed: float) -> np.ndarray:
    """Return samples (n,) as played at ``speed`` (Ko et al. 2015): (ceil(n / speed),) float32, pitch and all."""
    ratio = Fraction(speed).limit_denominator(100)
    return resampled(samples, ratio.numerator, ratio.denominator)


def refuse_truncated_wav(file: Path) -> None:
    """Refuse a WAVE file that ends before its samples do, which libsndfile reads as far as it goes.

    Raises:
        MissingError: the data chunk says it is longer than what there is of it.
    """
    with file.open("rb") as stream:
        riff, _, kind = struct.unpack("<4sI4s", stream.read(12).ljust(12, b"\0"))
        if riff != b"RIFF" or kind != b"WAVE":
            return
        while len(head := stream.read(8)) == 8:
            name, size = struct.unpack("<4sI", head)
            left = file.stat().st_size - stream.tell()
            if name == b"data":
                if left < size < UNKNOWN:
                    raise MissingError(
                        f"{file} is truncated: it holds {left} of {size} bytes of sound; replace or remove it"
                    )
                return
            stream.seek(size + size % 2, 1)


def read_blocks(
    files: Sequence[Path], rate: int, size: int = BLOCK, cuts: Sequence[Cut] | None = None
) -> Iterator[list[Recording]]:
    """Yield the recordings of ``files``, or ``cuts`` of them, in order, up to ``size`` at a time.

    Raises:
        MissingError: after the last one, if files cannot be read: how many, and the first of them.
    """
    damaged: list[MissingError] = []

    def attempt(file: Path, cut: Cut) -> Recording | MissingError:
        try:
            return read_audio(file, rate, cut)
        except MissingError as error:
            return error

    needed("soundfile", "audio")  # said once, not of every file
    cuts = [WHOLE] * len(files) if cuts is None else cuts
    with ThreadPoolExecutor() as pool:
        for start in range(0, len(files), size):
            found = list(pool.map(attempt, files[start : start + size], cuts[start : start + size]))
            damaged += [one for one in found if isinstance(one, MissingError)]
            yield [one for one in found if isinstance(one, Recording)]
    if damaged:
        more = f"; and {len(damaged) - NAMED} more" if len(damaged) > NAMED else ""
        raise MissingError(
            f"{len(damaged)} of {len(files)} recordings cannot be used: {'; '.join(map(str, damaged[:NAMED]))}{more}"
        )


def sounding(inputs: Sequence[str], rate: int) -> list[np.ndarray]:
    """Return the samples (n,) in each of the files ``inputs``, at ``rate``.

    Raises:
        MissingError: a file cannot be read, or holds no sound.
    """
    files = [Path(one) for one in inputs]
    heard = [one.samples for block in read_blocks(files, rate) for one in block]
    for file, one in zip(files, heard, strict=True):
        if not len(one):
            raise MissingError(f"{file} holds no sound; remove it")
    return heard


def audio_files(folder: Path) -> list[Path]:
    """Return the wav and flac files in and below ``folder``, sorted by path; hidden ones do not count."""
    found = (file for file in folder.rglob("*") if file.suffix.lower() in SUFFIXES)
    return sorted(file for file in found if file.is_file() and not hidden(file.relative_to(folder)))


class Found:
    """Counts what was found in the recordings of one part, and says it."""

    def __init__(self, part: str, rate: int) -> None:
        self.part, self.rate, self._counts = part, rate, Counter[str]()

    def add(self, recordings: Sequence[Recording]) -> None:
        """Count recordings; those without a sample have neither rate nor channels."""
        sounding = [one for one in recordings if len(one.samples)]
        self._counts["all"] += len(recordings)
        self._counts["empty"] += len(recordings) - len(sounding)
        self._counts["resampled"] += sum(one.rate != self.rate for one in sounding)
        self._counts["mixed"] += sum(one.channels > 1 for one in sounding)

    def notes(self) -> list[str]:
        """Return a sentence for everything that was mended or left out."""
        told = {
            "empty": "hold no sound and are left out",
            "resampled": f"have another sample rate and are resampled to {self.rate} Hz",
            "mixed": "have several channels and are mixed down to one",
        }
        of = f"of {self._counts['all']} {self.part} recordings"
        return [f"{self._counts[what]} {of} {said}" for what, said in told.items() if self._counts[what]]
