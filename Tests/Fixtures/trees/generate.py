#!/usr/bin/env python3
"""Trains XGBoost and LightGBM models of every kind and writes them with rows and the library's own predictions.

    python generate.py --out DIR [--seed N] [--small]

DIR gets `cases.json` and, for each case, the model file, `<name>.rows` and `<name>.expected`: raw little-endian numbers,
row-major, 32-bit for XGBoost and 64-bit for LightGBM. `<name>.contributions` has the library's own explanation of the
first rows, [row][output][feature, then the base value] in 64 bits; `<name>.shap-rows` ten background rows and six
others, and `<name>.shap` what the shap library says of the six against the ten, [row][output][feature], followed by
their interactions by the trees' covers, [row][output][feature][feature].
`--small` writes the few tiny cases that are committed.
Needs numpy, xgboost, lightgbm, shap and scikit-learn; runs on one thread; the same seed gives the same models.
"""
import argparse
import json
import os
import warnings

import lightgbm as lgb
import numpy as np
import shap
import xgboost as xgb

warnings.filterwarnings("ignore")
BACKGROUND, EXPLAINED = 10, 64
TINY = np.array([0.0, -0.0, 1e-45, -1e-45, 1e-40, 1.1754944e-38, 1e-35, -1e-35, 1e-36, 1e30, -1e30])


class Cases:
    def __init__(self, out, seed, small):
        self.out, self.seed, self.small, self.list = out, seed, small, []
        self.rng = np.random.default_rng(seed)
        self.rows = 300 if small else 2000
        os.makedirs(out, exist_ok=True)

    def data(self, features=6, categories=(), missing=0.0, rounding=None):
        X = self.rng.normal(size=(self.rows, features))
        for column, count in categories:
            X[:, column] = self.rng.integers(0, count, self.rows)
        if rounding is not None:
            X = np.round(X, rounding)
        X = X.astype(np.float32).astype(np.float64)
        if missing:
            X[self.rng.random(X.shape) < missing] = np.nan
        Z = np.nan_to_num(X)
        score = Z[:, 0] - 0.5 * Z[:, 1] * Z[:, 2] + 0.7 * (Z[:, 3] > 0.2)
        if missing:
            score = score + 1.5 * np.isnan(X[:, 0]) - np.isnan(X[:, 1])
        for column, count in categories:
            score = score + np.sin(Z[:, column] * 1.7)
        return X, score + 0.3 * self.rng.normal(size=self.rows)

    def probes(self, X, thresholds, categories, infinite):
        """Rows like the training data, rows on and beside thresholds, and rows of unusual numbers."""
        count = 48 if self.small else 600
        P = X[self.rng.integers(0, len(X), count)].copy()
        P[self.rng.random(P.shape) < 0.08] = np.nan
        for feature, values in thresholds.items():
            values = np.array(values)
            at = self.rng.integers(0, count, count // 3)
            picked = values[self.rng.integers(0, len(values), len(at))]
            shift = self.rng.integers(-1, 2, len(at))
            kind = P.dtype.type if infinite else np.float32
            picked = picked.astype(kind)
            picked = np.where(shift == 0, picked, np.nextafter(picked, np.where(shift > 0, kind(np.inf), kind(-np.inf))))
            P[at, feature] = picked
        odd = self.rng.integers(0, count, count // 6)
        P[odd, self.rng.integers(0, P.shape[1], len(odd))] = TINY[self.rng.integers(0, len(TINY), len(odd))]
        if infinite:
            for value in (np.inf, -np.inf, 5e-324, 1.0000000180025095e-35, -1.0000000180025095e-35):
                at = self.rng.integers(0, count, 6)
                P[at, self.rng.integers(0, P.shape[1], 6)] = value
        for column, number in categories:
            at = self.rng.integers(0, count, count // 4)
            unusual = np.array([-1.0, -0.5, -3.0, number, number + 40.0, 0.5, 1.9, 1e6, 1.6777215e7, 2.0**31, 1e12])
            if not infinite:
                unusual = unusual[unusual >= 0][:-2]
            P[at, column] = unusual[self.rng.integers(0, len(unusual), len(at))]
        P[0], P[1] = np.nan, 0.0
        return P

    def write(self, name, model_file, rows, expected, library, exact=True):
        kind = np.float32 if library == "xgboost" else np.float64
        rows = np.ascontiguousarray(rows, dtype=kind)
        expected = np.ascontiguousarray(expected, dtype=kind)
        rows.tofile(os.path.join(self.out, name + ".rows"))
        expected.tofile(os.path.join(self.out, name + ".expected"))
        self.list.append({
            "name": name, "library": library, "model": model_file, "rows": rows.shape[0], "features": rows.shape[1],
            "outputs": 1 if expected.ndim == 1 else expected.shape[1], "exact": exact})

    # Explanations

    def explain(self, name, contributions=None, shap_rows=None, shap_values=None):
        """Adds explanations to the case that was written last."""
        case = self.list[-1]
        assert case["name"] == name
        if contributions is not None:
            contributions.astype(np.float64).tofile(os.path.join(self.out, name + ".contributions"))
            case["contributions"] = len(contributions)
        if shap_rows is not None:
            shap_rows.astype(np.float64).tofile(os.path.join(self.out, name + ".shap-rows"))
            np.concatenate([v.astype(np.float64).ravel() for v in shap_values]).tofile(
                os.path.join(self.out, name + ".shap"))
            case["shap"] = len(shap_rows) - BACKGROUND

    def by_shap(self, name, booster, X, interactions=None):
        X = X[~np.isnan(X).any(axis=1)][:BACKGROUND + 6]

        explainer = shap.TreeExplainer(booster, X[:BACKGROUND], feature_perturbation="interventional")
        values = np.asarray(explainer.shap_values(X[BACKGROUND:]))
        values = values[:, None] if values.ndim == 2 else np.moveaxis(values, -1, 1)
        if interactions is None:
            interactions = np.asarray(shap.TreeExplainer(booster).shap_interaction_values(X[BACKGROUND:]))
            interactions = interactions[:, None] if interactions.ndim == 3 else np.moveaxis(interactions, -1, 1)
        else:
            interactions = interactions(X[BACKGROUND:])
            interactions = (interactions[:, None] if interactions.ndim == 3 else interactions)[..., :-1, :-1]
        self.explain(name, shap_rows=X, shap_values=(values, interactions))

    # XGBoost

    def xgboost(self, name, parameters, rounds=None, y=None, data=None, categories=(), missing=0.0, features=6,
                matrix=None, encodings=("json", "ubj"), exact=True, by_shap=False):
        rounds = rounds or (4 if self.small else 30)
        X, score = data or self.data(features, categories, missing)
        y = score if y is None else y(score, self.rng)
        types = ["c" if column in dict(categories) else "q" for column in range(X.shape[1])]
        keywords = dict(feature_types=types, enable_categorical=True) if categories else {}
        if matrix:
            keywords.update(matrix(score, self.rng))
        parameters = {"max_depth": 3 if self.small else 6, "nthread": 1, "seed": self.seed, "verbosity": 0, **parameters}
        train = xgb.DMatrix(X.astype(np.float32), **({"label": y} if y is not None else {}), **keywords)
        booster = xgb.train(parameters, train, rounds)
        self.save_xgboost(name, booster, X, categories, encodings, exact, by_shap=by_shap)

    def save_xgboost(self, name, booster, X, categories=(), encodings=("json", "ubj"), exact=True, model=None,
                     rounds=(0, 0), by_shap=False):
        content = json.loads(booster.save_raw("json"))["learner"]["gradient_booster"]
        thresholds = {}
        for tree in (content.get("model") or content["gbtree"]["model"])["trees"]:
            for node, left in enumerate(tree["left_children"]):
                if left != -1 and not (tree["split_type"] and tree["split_type"][node]):
                    thresholds.setdefault(tree["split_indices"][node], []).append(tree["split_conditions"][node])
        P = self.probes(X, thresholds, categories, infinite=False).astype(np.float32)
        keywords = {}
        if categories:
            types = ["c" if column in dict(categories) else "q" for column in range(X.shape[1])]
            keywords = dict(feature_types=types, enable_categorical=True)
        expected = booster.predict(xgb.DMatrix(P, nthread=1, **keywords), iteration_range=rounds)
        for encoding in encodings:
            file = f"{name}.{encoding}"
            (model or booster).save_model(os.path.join(self.out, file))
            self.write(f"{name}.{encoding}", file, P, expected, "xgboost", exact)
            if encoding != encodings[0] or "multi_output_tree" in booster.save_config():
                continue
            first = xgb.DMatrix(P[:EXPLAINED], nthread=1, **keywords)
            self.explain(file, booster.predict(first, pred_contribs=True, iteration_range=rounds))
            if by_shap:
                self.by_shap(file, booster, X,
                             lambda rows: booster.predict(xgb.DMatrix(rows, nthread=1), pred_interactions=True))

    # LightGBM

    def lightgbm(self, name, parameters, rounds=None, y=None, data=None, categories=(), missing=0.0, features=6,
                 group=None, exact=True, rounding=None, objective=None, by_shap=False):
        rounds = rounds or (4 if self.small else 30)
        X, score = data or self.data(features, categories, missing, rounding)
        y = score if y is None else y(score, self.rng)
        parameters = {"num_leaves": 7 if self.small else 31, "verbose": -1, "num_threads": 1, "seed": self.seed,
                      "deterministic": True, "force_row_wise": True, "min_data_per_group": 5, "cat_smooth": 1,
                      **parameters}
        train = lgb.Dataset(X, y, categorical_feature=[c for c, _ in categories] or "auto",
                            group=None if group is None else group(len(y)), free_raw_data=False)
        if objective:
            parameters["objective"] = objective
        booster = lgb.train(parameters, train, rounds)
        self.save_lightgbm(name, booster, X, categories, exact, by_shap)

    def save_lightgbm(self, name, booster, X, categories=(), exact=True, by_shap=False):
        thresholds = {}

        def walk(node):
            if "split_feature" in node:
                if node["decision_type"] == "<=":
                    thresholds.setdefault(node["split_feature"], []).append(node["threshold"])
                walk(node["left_child"])
                walk(node["right_child"])

        for tree in booster.dump_model()["tree_info"]:
            walk(tree["tree_structure"])
        P = self.probes(X, thresholds, categories, infinite=True)
        booster.save_model(os.path.join(self.out, name + ".txt"))
        expected = booster.predict(P, num_threads=1)
        self.write(name, name + ".txt", P, expected, "lightgbm", exact)
        if booster.params.get("linear_tree"):
            return
        contributions = booster.predict(P[:EXPLAINED], pred_contrib=True, num_threads=1)
        if booster.params.get("boosting") == "rf":
            # The library adds up the trees here; what it predicts is their mean.
            contributions = contributions / (booster.num_trees() // booster.num_model_per_iteration())
        self.explain(name, contributions)
        if by_shap:
            self.by_shap(name, booster, X)

    def finish(self):
        with open(os.path.join(self.out, "cases.json"), "w") as f:
            json.dump({"seed": self.seed, "xgboost": xgb.__version__, "lightgbm": lgb.__version__, "cases": self.list},
                      f, indent=1)
            f.write("\n")


def binary(score, rng):
    return (score > 0).astype(int)


def classes(count):
    def label(score, rng):
        return np.clip(((score + 2) / 4 * count).astype(int), 0, count - 1)
    return label


def positive(score, rng):
    return np.exp(0.5 * score) + 0.05


def counts(score, rng):
    return rng.poisson(np.exp(0.4 * score)).astype(float)


def two(score, rng):
    return np.stack([score, score * score - 1, -score], 1)


def nothing(score, rng):
    return None


def xgboost_cases(c):
    c.xgboost("xgb-regression", {}, by_shap=True)
    c.xgboost("xgb-base-score", {"base_score": 3.7})
    c.xgboost("xgb-binary", {"objective": "binary:logistic"}, y=binary, missing=0.15, exact=False, by_shap=True)
    c.xgboost("xgb-categorical", {"max_cat_to_onehot": 1}, categories=((4, 40), (5, 3)), missing=0.1)
    c.xgboost("xgb-onehot", {"max_cat_to_onehot": 64}, categories=((4, 40), (5, 3)))
    c.xgboost("xgb-softprob", {"objective": "multi:softprob", "num_class": 3}, y=classes(3), exact=False,
              by_shap=True)
    c.xgboost("xgb-dart", {"booster": "dart", "rate_drop": 0.4}, missing=0.1)
    c.xgboost("xgb-vector-leaf", {"multi_strategy": "multi_output_tree"}, y=two)
    if c.small:
        return
    c.xgboost("xgb-missing", {}, missing=0.3)
    c.xgboost("xgb-large-category", {"max_cat_to_onehot": 1}, categories=((4, 900),))
    c.xgboost("xgb-large-onehot", {"max_cat_to_onehot": 5000}, categories=((4, 900),))
    c.xgboost("xgb-softmax", {"objective": "multi:softmax", "num_class": 7}, y=classes(7), missing=0.1)
    c.xgboost("xgb-softmax-300", {"objective": "multi:softmax", "num_class": 300}, rounds=2, y=classes(300))
    c.xgboost("xgb-targets", {}, y=two)
    c.xgboost("xgb-labels", {"objective": "binary:logistic"}, y=lambda s, r: (two(s, r) > 0).astype(int), exact=False)
    c.xgboost("xgb-forest", {"num_parallel_tree": 40, "subsample": 0.6, "colsample_bynode": 0.6, "eta": 1}, rounds=1)
    c.xgboost("xgb-forest-rounds", {"num_parallel_tree": 5, "subsample": 0.6, "objective": "binary:logistic"},
              rounds=6, y=binary, exact=False)
    c.xgboost("xgb-forest-classes", {"num_parallel_tree": 3, "subsample": 0.6, "objective": "multi:softprob",
                                     "num_class": 4}, rounds=5, y=classes(4), exact=False)
    c.xgboost("xgb-dart-classes", {"booster": "dart", "rate_drop": 0.3, "objective": "multi:softprob", "num_class": 3},
              y=classes(3), exact=False)
    c.xgboost("xgb-dart-tree", {"booster": "dart", "rate_drop": 0.3, "normalize_type": "forest"})
    c.xgboost("xgb-lossguide", {"grow_policy": "lossguide", "max_leaves": 60, "max_depth": 0}, missing=0.05)
    c.xgboost("xgb-exact", {"tree_method": "exact", "gamma": 0.5}, missing=0.1)
    c.xgboost("xgb-approx", {"tree_method": "approx"})
    c.xgboost("xgb-deep", {"max_depth": 16, "min_child_weight": 0.01, "lambda": 0})
    c.xgboost("xgb-stumps", {"max_depth": 1}, rounds=77)
    c.xgboost("xgb-single-leaf", {"gamma": 1e9}, rounds=3)
    c.xgboost("xgb-one-feature", {}, data=(lambda d: (d[0][:, :1], d[1]))(c.data()))
    c.xgboost("xgb-wide", {}, features=300)
    c.xgboost("xgb-very-wide", {}, features=3000, rounds=5)
    for alpha, name in ((0.3, "xgb-quantile"), ([0.1, 0.5, 0.9], "xgb-quantiles")):
        c.xgboost(name, {"objective": "reg:quantileerror", "quantile_alpha": alpha})
    for objective, label, exact in (
            ("reg:squaredlogerror", positive, True), ("reg:pseudohubererror", None, True),
            ("reg:absoluteerror", None, True), ("reg:logistic", binary, False), ("binary:logitraw", binary, True),
            ("binary:hinge", binary, True), ("count:poisson", counts, False), ("reg:gamma", positive, False),
            ("reg:tweedie", counts, False), ("survival:cox", positive, False)):
        c.xgboost("xgb-" + objective.replace(":", "-"), {"objective": objective}, y=label, exact=exact, missing=0.05)
    c.xgboost("xgb-poisson-base", {"objective": "count:poisson", "base_score": 2.5}, y=counts, exact=False)
    c.xgboost("xgb-logistic-base", {"objective": "binary:logistic", "base_score": 0.9}, y=binary, exact=False)
    c.xgboost("xgb-aft", {"objective": "survival:aft"}, y=nothing, exact=False,
              matrix=lambda s, r: dict(label_lower_bound=np.exp(s), label_upper_bound=np.exp(s) + 1))
    for objective in ("rank:pairwise", "rank:ndcg", "rank:map"):
        c.xgboost("xgb-" + objective.replace(":", "-"), {"objective": objective}, y=binary,
                  matrix=lambda s, r: dict(group=[100] * (len(s) // 100)))
    early_stopping(c)
    for index in range(12):
        r = np.random.default_rng(c.seed * 1000 + index)
        c.xgboost(f"xgb-random-{index}", {
            "max_depth": int(r.integers(1, 10)), "eta": float(r.uniform(0.05, 1)), "subsample": float(r.uniform(0.4, 1)),
            "lambda": float(r.uniform(0, 3)), "tree_method": str(r.choice(["hist", "exact", "approx"]))},
            rounds=int(r.integers(1, 120)), features=int(r.integers(4, 40)), missing=float(r.choice([0, 0.2])))


def early_stopping(c):
    X, score = c.data(missing=0.05)
    y = binary(score + c.rng.normal(size=len(score)), c.rng)
    half = len(X) // 2
    model = xgb.XGBClassifier(n_estimators=200, early_stopping_rounds=5, max_depth=5, n_jobs=1, eta=0.3)
    model.fit(X[:half], y[:half], eval_set=[(X[half:], y[half:])], verbose=False)
    best = model.best_iteration
    assert best + 1 < model.get_booster().num_boosted_rounds()
    c.save_xgboost("xgb-wrapper-best", model.get_booster(), X, model=model, rounds=(0, best + 1), exact=False)
    booster = xgb.train({"max_depth": 5, "objective": "binary:logistic", "nthread": 1}, xgb.DMatrix(X[:half], y[:half]),
                        200, evals=[(xgb.DMatrix(X[half:], y[half:]), "e")], early_stopping_rounds=5, verbose_eval=False)
    c.save_xgboost("xgb-booster-best", booster, X, exact=False)


def lightgbm_cases(c):
    c.lightgbm("lgb-regression", {}, by_shap=True)
    c.lightgbm("lgb-binary", {}, objective="binary", y=binary, missing=0.15, exact=False, by_shap=True)
    c.lightgbm("lgb-categorical", {}, categories=((4, 40), (5, 3)), missing=0.1)
    c.lightgbm("lgb-multiclass", {"num_class": 3}, objective="multiclass", y=classes(3), exact=False)
    c.lightgbm("lgb-zero-missing", {"zero_as_missing": True}, rounding=0)
    c.lightgbm("lgb-linear", {"linear_tree": True}, missing=0.05)
    c.lightgbm("lgb-forest", {"boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.6})
    if c.small:
        return
    c.lightgbm("lgb-missing", {}, missing=0.3)
    c.lightgbm("lgb-no-missing-handling", {"use_missing": False}, missing=0.1)
    c.lightgbm("lgb-zeros", {}, rounding=0)
    c.lightgbm("lgb-zero-categorical", {"zero_as_missing": True}, categories=((4, 40),), missing=0.1, rounding=0)
    c.lightgbm("lgb-large-category", {"max_cat_threshold": 200}, categories=((4, 500),))
    c.lightgbm("lgb-onehot-category", {"max_cat_to_onehot": 64}, categories=((4, 40),))
    c.lightgbm("lgb-ova", {"num_class": 4, "sigmoid": 0.7}, objective="multiclassova", y=classes(4), exact=False)
    c.lightgbm("lgb-many-classes", {"num_class": 40}, objective="multiclass", y=classes(40), rounds=5, exact=False)
    c.lightgbm("lgb-dart", {"boosting": "dart", "drop_rate": 0.4})
    c.lightgbm("lgb-goss", {"data_sample_strategy": "goss"})
    c.lightgbm("lgb-forest-binary", {"boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.6}, objective="binary",
               y=binary, exact=False)
    c.lightgbm("lgb-forest-classes", {"boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.6, "num_class": 3},
               objective="multiclass", y=classes(3), exact=False)
    c.lightgbm("lgb-linear-categorical", {"linear_tree": True}, categories=((4, 10),), missing=0.05)
    c.lightgbm("lgb-linear-binary", {"linear_tree": True}, objective="binary", y=binary, exact=False)
    c.lightgbm("lgb-sigmoid", {"sigmoid": 2.5}, objective="binary", y=binary, exact=False)
    c.lightgbm("lgb-sqrt", {"reg_sqrt": True}, objective="regression")
    c.lightgbm("lgb-sqrt-l1", {"reg_sqrt": True}, objective="regression_l1")
    for objective, label, exact in (
            ("regression_l1", None, True), ("huber", None, True), ("fair", None, True), ("quantile", None, True),
            ("mape", positive, True), ("poisson", counts, False), ("gamma", positive, False), ("tweedie", counts, False),
            ("cross_entropy", binary, False), ("cross_entropy_lambda", binary, False)):
        c.lightgbm("lgb-" + objective.replace("_", "-"), {}, objective=objective, y=label, exact=exact)
    for objective in ("lambdarank", "rank_xendcg"):
        c.lightgbm("lgb-" + objective.replace("_", "-"), {}, objective=objective, y=binary,
                   group=lambda n: [100] * (n // 100))
    X, score = c.data()
    custom = lgb.train({"objective": lambda p, d: (p - d.get_label(), np.ones(len(p))), "verbose": -1, "num_threads": 1},
                       lgb.Dataset(X, score), 20)
    c.save_lightgbm("lgb-custom", custom, X)
    c.lightgbm("lgb-constant", {}, y=lambda s, r: np.full(len(s), 2.5), rounds=3)
    c.lightgbm("lgb-big-leaves", {"num_leaves": 500, "min_data_in_leaf": 1})
    c.lightgbm("lgb-wide", {}, features=300)
    c.lightgbm("lgb-very-wide", {}, features=1500, rounds=5)
    c.lightgbm("lgb-one-feature", {}, data=(lambda d: (d[0][:, :1], d[1]))(c.data()))
    half = len(X) // 2
    stopped = lgb.train({"verbose": -1, "num_threads": 1, "learning_rate": 0.3}, lgb.Dataset(X[:half], score[:half]), 300,
                        valid_sets=[lgb.Dataset(X[half:], score[half:])], callbacks=[lgb.early_stopping(5, verbose=False)])
    c.save_lightgbm("lgb-early-stopped", stopped, X)
    for index in range(12):
        r = np.random.default_rng(c.seed * 1000 + 500 + index)
        c.lightgbm(f"lgb-random-{index}", {
            "num_leaves": int(r.integers(2, 90)), "learning_rate": float(r.uniform(0.05, 1)),
            "zero_as_missing": bool(r.integers(0, 2)), "min_data_in_leaf": int(r.integers(1, 30)),
            "extra_trees": bool(r.integers(0, 2))},
            rounds=int(r.integers(1, 120)), features=int(r.integers(4, 40)), missing=float(r.choice([0, 0.2])),
            rounding=[None, 0, 1][int(r.integers(0, 3))])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--small", action="store_true")
    arguments = parser.parse_args()
    cases = Cases(arguments.out, arguments.seed, arguments.small)
    xgboost_cases(cases)
    lightgbm_cases(cases)
    cases.finish()
    print(f"{len(cases.list)} cases in {arguments.out}")


if __name__ == "__main__":
    main()
