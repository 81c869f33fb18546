"""Draws ``table.md`` and its chart from ``found.json``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from benchmarks.networks.cases import CASES
from benchmarks.networks.chart import COLOURS, write_chart
from benchmarks.networks.files import CHART, FOUND, TABLE, read_json
from benchmarks.networks.ours import BATCH_SIZES
from benchmarks.networks.tools import KINDS, OURS, TOOLS
from benchmarks.networks.verdicts import LEAST_RATIO, SAME_SCORE, SAME_SPEED, verdicts
from benchmarks.networks.why import WHY

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

NOTHING = "–"
HEAD = """# Networks

{provenance}

Made by `python -m benchmarks.networks`; `… table` draws it anew from `found.json`. One thread. The digits are
scikit-learn's, a third of them judges; MiniLM is the real one and encodes 256 sentences of at most 32 tokens. The
original is the module in evaluation mode under `torch.inference_mode`, or the compiled `tf.function`.

![speed-up of each technique](networks.svg)
"""
MODELS_HEAD = """## Every network through every technique

*p50*: the median call in ms and its 95 % interval. *memory*: what loading and running it takes in a fresh process, its
libraries included. *accuracy*: of MiniLM the mean cosine to the original's vectors. `onnx` is the conversion alone,
`graph` cleans it up with onnxslim and onnxruntime's own passes, `fused` with the transformer fusions; `dynamic` and
`static` are INT8.
"""
TOOLS_HEAD = """## Beside other tools

All start from the same float file and the same calibration rows, and are timed in turns in one process.
*by hand*: onnxruntime's quantizers and float16 converter, called as their documentation shows. *NNCF*: its mixed
preset, with its scheme for transformers; it has nothing that scales activations at run time, so the nearest stands
under `dynamic`: weights as integers. *Olive*: its passes with their defaults. *speed*: how many times as fast as ours,
with the 95 % interval: below 1, ours is faster.
"""
STANDING_HEAD = """### Who is ahead

*ratio*: how many times as fast ours is, the geometric mean over the batch sizes. *Same* is a difference of up to
{speed:.0%} in speed, {accuracy} in accuracy (one row) or {cosine} in cosine. A file that keeps less than {least:.0%} of
the float file's figure is *broken*: it answers something else, and its speed is of no use.
"""


def write_table() -> None:
    """Draw both files.

    Raises:
        SystemExit: nothing was measured.
    """
    if not FOUND.exists():
        raise SystemExit("nothing is measured: run python -m benchmarks.networks")
    order = [case.name for case in CASES]
    found = dict(sorted(read_json(FOUND).items(), key=lambda item: order.index(item[0])))
    TABLE.write_text(page(found), encoding="utf-8")
    write_chart(found, CHART)
    sys.stdout.write(TABLE.read_text(encoding="utf-8"))


def page(found: Mapping[str, Any]) -> str:
    """The whole page."""
    told = dict.fromkeys(parts["ours"]["provenance"] for parts in found.values())
    sections = [
        HEAD.format(provenance="\n".join(told)),
        MODELS_HEAD,
        _table(
            ["network", "arm", "size, MB", "accuracy", *(f"p50, batch {size}" for size in BATCH_SIZES), "memory, MB"],
            _arms(found),
        ),
        _remarks(found),
        TOOLS_HEAD,
        _table(
            ["network", "kind", "tool", "size, MB", "accuracy", *(f"speed, batch {size}" for size in BATCH_SIZES)],
            _tools(found),
        ),
        STANDING_HEAD.format(
            speed=SAME_SPEED, accuracy=SAME_SCORE["accuracy"], cosine=SAME_SCORE["cosine"], least=LEAST_RATIO
        ),
        _table(["network", "kind", "tool", "accuracy", "ratio", "ours is"], _standings(found)),
        _summary(found),
        "### Where we lose, and why\n",
        _losses(found),
    ]
    return "\n".join(section.rstrip("\n") + "\n" for section in sections)


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def _arms(found: Mapping[str, Any]) -> Iterable[Sequence[str]]:
    for model, parts in found.items():
        for name, arm in _arms_in_order(parts["ours"]["arms"]):
            yield [
                model,
                name,
                _number(arm["size_mb"]),
                _score(arm["score"]),
                *(_interval(arm["latency"].get(str(size))) for size in BATCH_SIZES),
                NOTHING if arm["memory_mb"] is None else f"{arm['memory_mb']:.0f}",
            ]


def _arms_in_order(arms: Mapping[str, Any]) -> Iterable[tuple[str, Any]]:
    order = ["original", *COLOURS]
    return sorted(arms.items(), key=lambda arm: order.index(arm[0]))


def _remarks(found: Mapping[str, Any]) -> str:
    """What a technique could not do, or did at a cost."""
    lines = []
    for model, parts in found.items():
        for name, arm in _arms_in_order(parts["ours"]["arms"]):
            lines += [f"- {model}, {name}: {reason}" for reason in arm["refused"]]
            lines += [f"- {model}, {name}: {note}" for note in arm["notes"] if "slower" in note]
    return "\n".join(["Told by the techniques themselves:\n", *lines]) + "\n" if lines else ""


def _tools(found: Mapping[str, Any]) -> Iterable[Sequence[str]]:
    for model, parts in found.items():
        for kind in KINDS:
            for tool, side in _in_order(parts.get("duel", {}).get(kind, {})):
                if "failure" in side:
                    yield [model, kind, tool, NOTHING, side["failure"].replace("|", "/"), *[NOTHING] * len(BATCH_SIZES)]
                    continue
                speeds = (_times(side["speed"].get(str(size))) for size in BATCH_SIZES)
                size, score = _number(side["size_mb"]), _score(side["score"])
                yield [model, kind, tool, size, score, *(["1"] * len(BATCH_SIZES) if tool == OURS else speeds)]


def _in_order(sides: Mapping[str, Any]) -> Iterable[tuple[str, Any]]:
    order = ["float", OURS, *(tool.name for tool in TOOLS)]
    return sorted(sides.items(), key=lambda side: order.index(side[0]))


def _standings(found: Mapping[str, Any]) -> Iterable[Sequence[str]]:
    for verdict in verdicts(found):
        ours, theirs = verdict.score
        standing = f"{verdict.accuracy} in accuracy, {verdict.speed} in speed".replace("same in", "the same in")
        yield [
            verdict.model,
            verdict.kind,
            verdict.tool,
            f"{_score(ours)} : {_score(theirs)}",
            f"{verdict.ratio:.2f}",
            f"{standing}; theirs is broken" if verdict.is_broken else standing,
        ]


def _summary(found: Mapping[str, Any]) -> str:
    lines = []
    for tool in (tool.name for tool in TOOLS):
        of_tool = [verdict for verdict in verdicts(found) if verdict.tool == tool]
        sound = [verdict for verdict in of_tool if not verdict.is_broken]
        held = [verdict for verdict in sound if not verdict.is_lost]
        lines.append(
            f"- **{tool}**: {len(of_tool)} files, {len(of_tool) - len(sound)} of them broken; of the others ours is as "
            f"right and as fast or better in {len(held)} of {len(sound)}."
        )
    return "\n".join(lines) + "\n"


def _losses(found: Mapping[str, Any]) -> str:
    lines = []
    for verdict in verdicts(found):
        if verdict.is_lost:
            ours, theirs = verdict.score
            why = WHY.get((verdict.model, verdict.kind, verdict.tool), "not looked into.")
            figures = f"accuracy {_score(ours)} : {_score(theirs)}, ×{verdict.ratio:.2f}"
            lines.append(f"- **{verdict.model}, {verdict.kind}, {verdict.tool}** ({figures}): {why}")
    return "\n".join(lines or ["Nowhere."]) + "\n"


def _number(value: float | None) -> str:
    return NOTHING if value is None else f"{value:.3g}"


def _score(value: float | None) -> str:
    return NOTHING if value is None else f"{value:.4f}"


def _interval(found: Sequence[float | None] | None) -> str:
    """A median and its interval in ms, to three digits."""
    if not found or found[0] is None:
        return NOTHING
    estimate, low, high = found
    return f"{_ms(estimate)} [{_ms(low)}, {_ms(high)}]"


def _ms(value: float | None) -> str:
    return NOTHING if value is None else f"{value:#.3g}".rstrip(".")


def _times(found: Sequence[float | None] | None) -> str:
    if not found or found[0] is None:
        return NOTHING
    estimate, low, high = found
    span = "" if low is None or high is None else f" [{low:.2f}, {high:.2f}]"
    return f"×{estimate:.2f}{span}"
