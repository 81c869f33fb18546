"""Whether an ONNX model can be run here at all: domains, operators, versions and the checker of ONNX itself."""

from __future__ import annotations

import re
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from pytest_inferopt.domain.text import printable
from pytest_inferopt.errors import NotMeasuredError, RefusedError
from pytest_inferopt.frameworks._onnx_graphs import nodes_of, text_of

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["check_model"]

# Domains whose operators onnx itself describes, and those that onnxruntime brings.
ONNX_DOMAINS = frozenset(
    {"", "ai.onnx", "ai.onnx.ml", "ai.onnx.training", "ai.onnx.preview", "ai.onnx.preview.training"}
)
RUNTIME_DOMAINS = frozenset({"com.microsoft"})
RUNTIME_PREFIXES = ("com.microsoft.", "com.ms.")

IR_LIMIT = re.compile(r"max supported IR version: (\d+)")
OPSET_LIMIT = re.compile(r"support for domain (\S+) is till opset (\d+)")
RUNTIME_PACKAGES = ("onnxruntime", "onnxruntime-gpu")


def check_model(model: Any) -> None:
    """Check a ModelProto that has no external data.

    Raises:
        RefusedError: a node is of a domain that needs a library of custom operators.
        NotMeasuredError: an operator is unknown, onnxruntime does not know the model's IR version or an opset, or
            the checker of ONNX rejects the model.
    """
    import onnx

    own = {(text_of(function.domain), text_of(function.name)) for function in model.functions}
    for node, versions in nodes_of(model):
        if (text_of(node.domain), text_of(node.op_type)) not in own:
            _check_node(node, versions)
    _check_versions(model)
    try:
        onnx.checker.check_model(_with_short_domain(model))
    except (onnx.checker.ValidationError, ValueError) as error:
        reason = printable(" ".join(str(error).split()), 400)
        raise NotMeasuredError(f"ONNX's checker rejects the model: {reason}.", "Export the model again.") from None


def _with_short_domain(model: Any) -> Any:
    """The model with the standard domain's short name "": onnxruntime takes both names, the checker one."""
    if all(node.domain != "ai.onnx" for node, _ in nodes_of(model)):
        return model
    renamed = type(model)()
    renamed.CopyFrom(model)
    for node, _ in nodes_of(renamed):
        if node.domain == "ai.onnx":
            node.domain = ""
    return renamed


def _check_node(node: Any, versions: Mapping[str, int]) -> None:
    import onnx

    domain, operator = text_of(node.domain), text_of(node.op_type)
    if domain in RUNTIME_DOMAINS or domain.startswith(RUNTIME_PREFIXES):
        return
    if domain not in ONNX_DOMAINS:
        raise RefusedError(
            f"{_shown(node)} is of the domain '{printable(domain)}', whose operators need a library of their own.",
            "Export the model with standard operators only, or with the operator as a function in the model.",
        )
    opset = versions.get(domain, versions.get("" if domain == "ai.onnx" else "ai.onnx", 1))
    if not _is_known(operator, opset, "" if domain == "ai.onnx" else domain):
        raise NotMeasuredError(
            f"{_shown(node)} is unknown in opset {opset} of the domain '{domain or 'ai.onnx'}' "
            f"to the installed onnx {onnx.__version__}.",
            "Export the model for another opset, or upgrade onnx and onnxruntime.",
        )


@lru_cache(maxsize=4096)
def _is_known(operator: str, opset: int, domain: str) -> bool:
    import onnx

    try:
        onnx.defs.get_schema(operator, opset, domain)
    except onnx.defs.SchemaError:
        return False
    return True


def _check_versions(model: Any) -> None:
    """Ask the installed onnxruntime, if there is one, whether it knows the model's IR version and opsets.

    It states its limits nowhere but in its errors, so it is given a model of one node with the same versions.
    """
    try:
        import onnxruntime
    except ImportError:
        return
    probe = _probe(model)
    try:
        onnxruntime.InferenceSession(probe.SerializeToString(), providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's errors share no base class  # noqa: BLE001
        raise _too_new(model, str(error)) from None


def _shown(node: Any) -> str:
    name = f"node '{printable(text_of(node.name))}'" if node.name else "a node without a name"
    return f"{name} (operator '{printable(text_of(node.op_type))}')"


def _probe(model: Any) -> Any:
    import onnx

    make = onnx.helper
    value = [make.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1]) for name in "xy"]
    graph = make.make_graph([make.make_node("Identity", ["x"], ["y"])], "probe", value[:1], value[1:])
    imports = {opset.domain: opset.version for opset in model.opset_import if opset.domain in ONNX_DOMAINS}
    if not {"", "ai.onnx"} & set(imports):
        imports[""] = 13
    opsets = [make.make_opsetid(domain, number) for domain, number in imports.items()]
    return make.make_model(graph, opset_imports=opsets, ir_version=model.ir_version)


def _too_new(model: Any, error: str) -> NotMeasuredError:
    runtime = f"the installed onnxruntime {_runtime_version()}"
    hint = "Upgrade onnxruntime, or export the model for an older version."
    if limit := IR_LIMIT.search(error):
        return NotMeasuredError(
            f"the model has IR version {model.ir_version}; {runtime} reads at most {limit[1]}.", hint
        )
    if limit := OPSET_LIMIT.search(error):
        versions = (opset.version for opset in model.opset_import if (opset.domain or "ai.onnx") == limit[1])
        found = max(versions, default="?")
        return NotMeasuredError(f"the model has opset {found} of {limit[1]}; {runtime} runs at most {limit[2]}.", hint)
    return NotMeasuredError(f"{runtime} does not take the model's versions: {printable(error, 300)}.", hint)


def _runtime_version() -> str:
    for package in RUNTIME_PACKAGES:
        try:
            return version(package)
        except PackageNotFoundError:
            continue
    return "of unknown version"
