"""Olive's passes for ONNX files, by themselves, with their defaults; see https://microsoft.github.io/Olive/."""

import os
import shutil
from pathlib import Path

os.environ["OLIVE_DISABLE_TELEMETRY"] = "1"

import numpy as np
from _asked import CALIBRATION, FOLDER, ROWS_AT_A_TIME, SOURCE, make
from olive.data.registry import Registry
from olive.workflows import run
from torch.utils.data import Dataset

ROWS = "rows_of_a_file"


@Registry.register_dataset(ROWS)
class Rows(Dataset):
    """The calibration rows, one by one; its loader makes batches of them."""

    def __init__(self):
        self._rows = dict(np.load(CALIBRATION))

    def __len__(self):
        return len(next(iter(self._rows.values())))

    def __getitem__(self, index):
        return {name: array[index] for name, array in self._rows.items()}, 0


CALIBRATE = {
    "name": "calibration",
    "load_dataset_config": {"type": ROWS},
    "dataloader_config": {"params": {"batch_size": ROWS_AT_A_TIME}},
}


def passing(kind, **options):
    """A maker of a file by one pass."""

    def do(target):
        work = FOLDER / f"work-{kind}"
        shutil.rmtree(work, ignore_errors=True)
        done = run(
            {
                "input_model": {"type": "ONNXModel", "model_path": str(SOURCE)},
                "systems": {
                    "here": {
                        "type": "LocalSystem",
                        "accelerators": [{"device": "cpu", "execution_providers": ["CPUExecutionProvider"]}],
                    }
                },
                "host": "here",
                "target": "here",
                "data_configs": [CALIBRATE],
                "passes": {kind.lower(): {"type": kind, **options}},
                "evaluate_input_model": False,
                "cache_dir": str(work / "cache"),
                "output_dir": str(work / "out"),
            }
        )
        shutil.copyfile(Path(done.get_best_candidate().model_path), target)

    return do


make(
    dynamic=passing("OnnxDynamicQuantization"),
    static=passing("OnnxStaticQuantization", data_config="calibration"),
    fp16=passing("OnnxFloatToFloat16", keep_io_types=True),
)
