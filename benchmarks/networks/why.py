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
    ("torch-lstm", "static", "NNCF"): FEW_ROWS.format("three"),
    ("keras-lstm", "static", "by hand"): FEW_ROWS.format("two"),
}
