"""A folder in MLflow's form with an XGBoost classifier of 100 trees of depth 6 over 15 features."""
import pathlib
import sys

import numpy
import xgboost

folder = pathlib.Path(sys.argv[1])
folder.mkdir(parents=True, exist_ok=True)
generator = numpy.random.default_rng(7)
rows = generator.random((20_000, 15), dtype=numpy.float32)
labels = ((rows[:, 0] * rows[:, 1] + rows[:, 2] - rows[:, 3] + generator.normal(0, 0.3, 20_000)) > 0.25).astype(int)
data = xgboost.DMatrix(rows, labels, feature_names=[f"f{i}" for i in range(15)])
booster = xgboost.train({"objective": "binary:logistic", "max_depth": 6, "seed": 7, "nthread": 2}, data, 100)
booster.save_model(folder / "model.ubj")
(folder / "MLmodel").write_text(
    "artifact_path: model\nflavors:\n  xgboost:\n    data: model.ubj\n    model_class: xgboost.core.Booster\n"
    "    model_format: ubj\n    xgb_version: %s\n" % xgboost.__version__
)
