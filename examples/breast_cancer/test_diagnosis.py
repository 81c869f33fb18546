"""Does the model still rank the patients as it should, once it is ONNX?"""

import pytest


@pytest.mark.inferopt
@pytest.mark.parametrize("library", ["sklearn", "xgboost", "lightgbm"])
def test_diagnosis(inferopt, library, holdout):
    pytest.importorskip(library)

    result = inferopt(f"model:{library}", validation_dataset=holdout)

    assert result.optimized.conversion.label_flips == 0


@pytest.mark.inferopt
def test_file(inferopt, model_file, holdout):
    result = inferopt(model_file, validation_dataset=holdout, trust=True)

    assert result.optimized.size_mb < result.original.size_mb
