#!/usr/bin/env python3
"""Makes the tree benchmark's models and rows, or times ONNX Runtime on them.

    python models.py make DIR      xgboost.ubj, lightgbm.txt, *.onnx, rows.f32, rows.f64
    python models.py onnx DIR      one line for each measurement, as TreeEngine prints them
"""
import os
import sys
import time
import warnings

import numpy as np

warnings.filterwarnings("ignore")
TREES, DEPTH, LEAVES, FEATURES, ROWS = 100, 6, 63, 15, 4096


def make(folder):
    import lightgbm as lgb
    import xgboost as xgb
    rng = np.random.default_rng(7)
    X = rng.normal(size=(20000, FEATURES)).astype(np.float32)
    score = X[:, 0] + X[:, 1] * X[:, 2] - 0.7 * (X[:, 3] > 0.3) * X[:, 4] + 0.4 * np.sin(3 * X[:, 5])
    y = (score + rng.normal(size=len(X)) > 0).astype(int)
    X[rng.random(X.shape) < 0.02] = np.nan
    booster = xgb.train({"objective": "binary:logistic", "max_depth": DEPTH, "eta": 0.1, "nthread": 2, "seed": 7},
                        xgb.DMatrix(X, y), TREES)
    booster.save_model(f"{folder}/xgboost.ubj")
    gbm = lgb.train({"objective": "binary", "num_leaves": LEAVES, "verbose": -1, "num_threads": 2, "seed": 7},
                    lgb.Dataset(X.astype(np.float64), y), TREES)
    gbm.save_model(f"{folder}/lightgbm.txt")
    rows = X[:ROWS]
    rows.tofile(f"{folder}/rows.f32")
    rows.astype(np.float64).tofile(f"{folder}/rows.f64")
    try:
        import onnxmltools
        from onnxmltools.convert.common.data_types import FloatTensorType
        kind = [("input", FloatTensorType([None, FEATURES]))]
        for name, convert, model in (("xgboost", onnxmltools.convert_xgboost, booster),
                                     ("lightgbm", onnxmltools.convert_lightgbm, gbm)):
            keywords = {"zipmap": False} if name == "lightgbm" else {}
            with open(f"{folder}/{name}.onnx", "wb") as f:
                f.write(convert(model, initial_types=kind, **keywords).SerializeToString())
    except Exception as error:  # The peer is left out of the table, with the reason.
        print(f"# no ONNX models: {str(error).splitlines()[0]}")


def onnx(folder):
    import onnxruntime as ort
    rows = np.fromfile(f"{folder}/rows.f32", dtype=np.float32).reshape(-1, FEATURES)
    options = ort.SessionOptions()
    options.log_severity_level = 3  # The converter's output shape is narrower than what it gives, harmlessly.
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    for name in ("xgboost", "lightgbm"):
        if not os.path.exists(f"{folder}/{name}.onnx"):
            continue
        session = ort.InferenceSession(f"{folder}/{name}.onnx", options, providers=["CPUExecutionProvider"])
        label = session.get_inputs()[0].name
        for count, calls in ((1, 500), (len(rows), 3)):
            feed = {label: rows[:count]}
            session.run(None, feed)
            best = float("inf")
            for _ in range(15):
                start = time.perf_counter_ns()
                for _ in range(calls):
                    session.run(None, feed)
                best = min(best, (time.perf_counter_ns() - start) / calls / count)
            print(f"{name}\tONNX Runtime (Python)\t{count}\t{best:.1f}\t-")


if __name__ == "__main__":
    {"make": make, "onnx": onnx}[sys.argv[1]](sys.argv[2])
