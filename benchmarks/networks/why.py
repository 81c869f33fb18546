"""Where another tool is ahead of ours on these networks, and why; looked into by hand."""

from __future__ import annotations

PER_TENSOR = (
    "one scale for a whole matrix instead of one for each of its columns, which saves time where the matrix is small; "
    "`per_channel=False` asks for the same. It is not the default: on MiniLM it gives a cosine of 0.965, and a scale a "
    "column one of 0.993."
)
FEW_ROWS = (
    "{} rows of 599, within the interval of either; the LSTM itself stays in float in all of these files, and what is "
    "rounded is the last layer."
)
WHY: dict[tuple[str, str, str], str] = {
    **{
        (network, "dynamic", tool): PER_TENSOR
        for network in ("torch-mlp", "torch-lstm", "torch-transformer", "keras-lstm", "keras-attention")
        for tool in ("by hand", "Olive")
    },
    ("torch-mlp", "static", "Olive"): PER_TENSOR,
    ("minilm", "dynamic", "NNCF"): (
        "only its weights are integers, and all arithmetic stays in float, which is closer to the original, four times "
        "as slow as ours and slower than the float file."
    ),
    ("minilm", "static", "NNCF"): (
        "it shifts what is large from the activations' channels to the weights (SmoothQuant) and corrects the mean "
        "error of each layer, so that all products are integers: faster from a batch of 16 on, half as fast at one "
        "sentence. Ours leaves 8 of 51 operators in float and does neither; smoothing by itself gained nothing here "
        "(0.941)."
    ),
    ("torch-lstm", "static", "NNCF"): FEW_ROWS.format("three"),
    ("keras-lstm", "static", "by hand"): FEW_ROWS.format("two"),
}
