/// The Python side of the preparation. It is part of the binary, so that the binary is all there is to install.
enum PrepareScript {
    static let text = ##"""
    # Reads a trained model and rows in Python, turns the model into ONNX and quantizes it.
    #
    # Called as `python prepare.py --spec FILE`, as every step's process is. FILE is a job as JSON: `parameters` has
    # `model` (a file or an MLflow folder), `data` (.csv, .npy, .npz, .parquet), `label` (a column to leave out), `rows`
    # (held-out rows at most), `calibration` (rows at most) and `seed`. What is made goes into `workDirectory`; the result
    # goes to `result`. Descriptor 3 takes progress; descriptor 0 ends when whoever asked is gone.
    import json
    import os
    import pathlib
    import sys
    import threading
    import time


    class Refused(Exception):
        # What the person who asked can mend.

        def __init__(self, code, message):
            super().__init__(message)
            self.code = code


    def needed(module, purpose):
        import importlib
        try:
            return importlib.import_module(module)
        except ImportError as error:
            raise Refused("unavailable", f"{purpose} needs the Python package {module.split('.')[0]}, which {sys.executable} "
                          f"does not have ({error}); install it there, or name another interpreter with --python")


    def progress(share, message):
        try:
            os.write(3, (json.dumps({"progress": share, "message": message}) + "\n").encode())
        except OSError:
            pass


    def die_with_parent():
        def watch():
            try:
                while os.read(0, 1):
                    pass
            except OSError:
                return
            os.killpg(0, 9)
        if os.getpgrp() == os.getpid():
            threading.Thread(target=watch, daemon=True).start()


    # Data


    def read_table(path, names, label):
        # One float32 matrix, or named arrays of an .npz file.
        import numpy
        ending = pathlib.Path(path).suffix.lower()
        if ending == ".npz":
            with numpy.load(path, allow_pickle=False) as arrays:
                return {name: arrays[name] for name in arrays.files if name != label}
        if ending == ".npy":
            return numpy.load(path, allow_pickle=False).astype(numpy.float32)
        if ending == ".parquet":
            frame = needed("pandas", "reading Parquet").read_parquet(path)
            header, columns = list(frame.columns), {name: frame[name].to_numpy() for name in frame.columns}
        elif ending == ".csv":
            import csv
            with open(path, newline="") as file:
                lines = list(csv.reader(file))
            if len(lines) < 2:
                raise Refused("invalidArgument", f"{path}: a header and rows were expected")
            header = lines[0]
            columns = {name: [line[at] for line in lines[1:]] for at, name in enumerate(header)}
        else:
            raise Refused("invalidArgument", f"{path}: rows come as .csv, .parquet, .npy or .npz")
        kept = [name for name in header if name != label]
        if names and set(names) <= set(kept):
            kept = list(names)

        def number(value, name, row):
            if value in ("", None):
                return float("nan")
            try:
                return float(value)
            except (TypeError, ValueError):
                raise Refused("invalidArgument", f"{path}: row {row + 1}, column {name}: {value!r} is no number; leave a "
                              "column out with --label")
        return numpy.array([[number(value, name, row) for row, value in enumerate(columns[name])] for name in kept],
                           dtype=numpy.float32).T


    def taken(rows, which):
        return {name: array[which] for name, array in rows.items()} if isinstance(rows, dict) else rows[which]


    def count(rows):
        return len(next(iter(rows.values()))) if isinstance(rows, dict) else len(rows)


    # Models: each gives `kind`, `names`, `reference(rows)` or None, `is_classifier`, and `convert(path, rows)`.


    class Sklearn:
        kind = "sklearn"

        def __init__(self, model):
            self.model = model
            self.names = [str(name) for name in getattr(model, "feature_names_in_", [])]
            self.is_classifier = hasattr(model, "predict_proba") or hasattr(model, "classes_")

        def reference(self, rows):
            if self.names:
                rows = needed("pandas", "a model trained on a data frame").DataFrame(rows, columns=self.names)
            import warnings
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return self.model.predict_proba(rows) if hasattr(self.model, "predict_proba") else self.model.predict(rows)

        def convert(self, path, rows):
            skl2onnx = needed("skl2onnx", "turning a scikit-learn model into ONNX")
            from skl2onnx.common.data_types import FloatTensorType
            options = {id(self.model): {"zipmap": False}} if hasattr(self.model, "predict_proba") else None
            made = skl2onnx.convert_sklearn(
                self.model, initial_types=[("input", FloatTensorType([None, rows.shape[1]]))], options=options)
            path.write_bytes(made.SerializeToString())


    class XGBoost:
        kind = "xgboost"

        def __init__(self, path):
            xgboost = needed("xgboost", "reading an XGBoost model")
            self.booster = xgboost.Booster()
            self.booster.load_model(str(path))
            self.names = list(self.booster.feature_names or [])
            self.matrix = xgboost.DMatrix
            objective = json.loads(self.booster.save_config())["learner"]["objective"]["name"]
            self.is_classifier = objective.startswith(("binary:", "multi:"))

        def reference(self, rows):
            return self.booster.predict(self.matrix(rows, feature_names=self.names or None))

        def convert(self, path, rows):
            onnxmltools = needed("onnxmltools", "turning an XGBoost model into ONNX")
            from onnxmltools.convert.common.data_types import FloatTensorType
            names = self.booster.feature_names
            self.booster.feature_names = None
            try:
                made = onnxmltools.convert_xgboost(
                    self.booster, initial_types=[("input", FloatTensorType([None, rows.shape[1]]))])
            finally:
                self.booster.feature_names = names
            path.write_bytes(made.SerializeToString())


    class LightGBM:
        kind = "lightgbm"

        def __init__(self, path):
            lightgbm = needed("lightgbm", "reading a LightGBM model")
            self.booster = lightgbm.Booster(model_file=str(path))
            self.names = list(self.booster.feature_name())
            objective = self.booster.dump_model().get("objective", "")
            self.is_classifier = objective.startswith(("binary", "multiclass", "cross_entropy"))

        def reference(self, rows):
            return self.booster.predict(rows)

        def convert(self, path, rows):
            onnxmltools = needed("onnxmltools", "turning a LightGBM model into ONNX")
            from onnxmltools.convert.common.data_types import FloatTensorType
            made = onnxmltools.convert_lightgbm(
                self.booster, initial_types=[("input", FloatTensorType([None, rows.shape[1]]))], zipmap=False)
            path.write_bytes(made.SerializeToString())


    class Torch:
        kind = "pytorch"
        names = []
        is_classifier = False

        def __init__(self, path):
            self.torch = needed("torch", "reading a PyTorch model")
            try:
                self.model = self.torch.jit.load(str(path), map_location="cpu")
            except RuntimeError:
                self.model = self.torch.load(str(path), map_location="cpu", weights_only=False)
            if not isinstance(self.model, self.torch.nn.Module):
                raise Refused("invalidArgument", f"{path}: a whole module was expected (torch.save(model, …) or TorchScript)")
            self.model.eval()

        def reference(self, rows):
            with self.torch.no_grad():
                return self.model(self.torch.from_numpy(rows)).numpy()

        def convert(self, path, rows):
            import inspect
            # Where there are two exporters, the one that takes TorchScript too.
            more = {"dynamo": False} if "dynamo" in inspect.signature(self.torch.onnx.export).parameters else {}
            self.torch.onnx.export(
                self.model, (self.torch.from_numpy(rows[:2]),), str(path), input_names=["input"], output_names=["output"],
                dynamic_axes={"input": {0: "rows"}, "output": {0: "rows"}}, **more)


    class ONNX:
        kind = "onnx"
        names = []
        is_classifier = None

        def __init__(self, path):
            self.path = pathlib.Path(path)

        def reference(self, rows):
            return None

        def convert(self, path, rows):
            path.write_bytes(self.path.read_bytes())


    def unpickled(path):
        needed("sklearn", "reading a scikit-learn model")
        if path.suffix.lower() == ".joblib":
            return needed("joblib", "reading it").load(path)
        import pickle
        with open(path, "rb") as file:
            return pickle.load(file)


    def open_folder(folder):
        yaml = needed("yaml", "reading an MLflow model")
        flavors = yaml.safe_load((folder / "MLmodel").read_text()).get("flavors", {})
        if "onnx" in flavors:
            return ONNX(folder / flavors["onnx"]["data"])
        if "sklearn" in flavors:
            data = folder / flavors["sklearn"].get("pickled_model", "model.pkl")
            if data.suffix == ".pkl" and data.exists():
                return Sklearn(unpickled(data))
            return Sklearn(needed("mlflow.sklearn", "reading an MLflow model of scikit-learn").load_model(str(folder)))
        for flavor, kind in (("xgboost", XGBoost), ("lightgbm", LightGBM)):
            if flavor in flavors:
                data = folder / flavors[flavor]["data"]
                if data.suffix in (".pkl", ".skops"):
                    return Sklearn(needed(f"mlflow.{flavor}", "reading an MLflow model").load_model(str(folder)))
                return kind(data)
        if "pytorch" in flavors:
            return Torch(folder / flavors["pytorch"].get("model_data", "data") / "model.pth")
        raise Refused("unsupported", f"{folder}: none of the flavors {', '.join(flavors)} can be optimized; onnx, sklearn, "
                      "xgboost, lightgbm and pytorch can")


    def open_model(path):
        path = pathlib.Path(path)
        if path.is_dir():
            return open_folder(path)
        ending = path.suffix.lower()
        if ending == ".onnx":
            return ONNX(path)
        if ending in (".ubj", ".json", ".xgb"):
            return XGBoost(path)
        if ending in (".txt", ".lgb"):
            return LightGBM(path)
        if ending in (".pt", ".pth"):
            return Torch(path)
        if ending in (".pkl", ".pickle", ".joblib"):
            return Sklearn(unpickled(path))
        raise Refused("unsupported", f"{path}: the ending is none of .onnx, .pkl, .joblib, .pt, .ubj, .json, .txt")


    # Steps

    TYPES = {"tensor(float)": ("FP32", "float32"), "tensor(double)": ("FP64", "float64"), "tensor(int64)": ("INT64", "int64"),
             "tensor(int32)": ("INT32", "int32"), "tensor(float16)": ("FP16", "float16"), "tensor(bool)": ("BOOL", "bool")}
    QUANTIZED = {"MatMul", "Gemm", "Conv", "LSTM", "Attention", "EmbedLayerNormalization"}


    def feeds(session, rows):
        # The rows as the graph's inputs, by name.
        import numpy
        inputs = session.get_inputs()
        if not isinstance(rows, dict):
            if len(inputs) != 1:
                names = ", ".join(item.name for item in inputs)
                raise Refused("invalidArgument", f"the model has the inputs {names}; give the data as .npz with an array each")
            rows = {inputs[0].name: rows}
        made = {}
        for item in inputs:
            if item.name not in rows:
                raise Refused("invalidArgument", f"the data has no array {item.name}")
            if item.type not in TYPES:
                raise Refused("unsupported", f"the input {item.name} is {item.type}; numbers can be measured")
            made[item.name] = numpy.ascontiguousarray(rows[item.name], dtype=TYPES[item.type][1])
        return made


    def quantize(source, folder, calibration, variants):
        onnx = needed("onnx", "quantizing")
        operators = {node.op_type for node in onnx.load(str(source), load_external_data=False).graph.node}
        if not operators & QUANTIZED:
            reason = "nothing to quantize: the graph computes with " + ", ".join(sorted(operators))
            variants += [{"name": name, "skipped": reason} for name in ("int8-dynamic", "int8-static")]
            return
        from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_dynamic, quantize_static
        from onnxruntime.quantization.shape_inference import quant_pre_process

        class Rows(CalibrationDataReader):
            def __init__(self):
                self.batches = iter([{name: array[at:at + 32] for name, array in calibration.items()}
                                     for at in range(0, len(next(iter(calibration.values()))), 32)])

            def get_next(self):
                return next(self.batches, None)

        prepared = folder / "prepared.onnx"
        try:
            quant_pre_process(str(source), str(prepared), skip_symbolic_shape=True)
        except Exception:
            prepared = source
        for at, name in enumerate(("int8-dynamic", "int8-static")):
            progress(0.6 + 0.2 * at, f"quantizing {name}")
            path = folder / f"{name}.onnx"
            try:
                if name == "int8-dynamic":
                    quantize_dynamic(str(prepared), str(path), weight_type=QuantType.QInt8)
                else:
                    quantize_static(str(prepared), str(path), Rows(), quant_format=QuantFormat.QDQ,
                                    activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8)
                variants.append({"name": name, "file": path.name})
            except Exception as error:
                variants.append({"name": name, "skipped": f"quantization failed: {str(error).splitlines()[0][:200]}"})


    def write(folder, name, array, kind):
        import numpy
        array = numpy.ascontiguousarray(array)
        (folder / name).write_bytes(array.tobytes())
        return {"file": name, "shape": list(array.shape), "datatype": kind}


    def run(job):
        numpy = needed("numpy", "optimizing")
        parameters, folder = job["parameters"], pathlib.Path(job["workDirectory"])
        progress(0.05, "reading the model")
        model = open_model(parameters["model"])
        progress(0.15, "reading the rows")
        rows = read_table(parameters["data"], model.names, parameters.get("label"))
        total = count(rows)
        if total < 40:
            raise Refused("invalidArgument", f"{parameters['data']}: {total} rows are too few to judge by; 40 at least")
        order = numpy.random.default_rng(parameters["seed"]).permutation(total)
        split = min(parameters["calibration"], total // 2)
        calibration, held_out = taken(rows, order[:split]), taken(rows, order[split:split + parameters["rows"]])
        values = {"kind": model.kind, "rows": count(held_out), "calibration": count(calibration), "columns": model.names}
        progress(0.3, "asking the model itself")
        start = time.perf_counter()
        reference = model.reference(held_out)
        if reference is not None:
            values["referenceSeconds"] = time.perf_counter() - start
            reference = numpy.asarray(reference)
            if not numpy.issubdtype(reference.dtype, numpy.number):
                raise Refused("unsupported", "the model answers texts; give one that answers numbers or probabilities")
            values["reference"] = write(folder, "reference.bin", reference.astype(numpy.float64), "FP64")
            values["isClassifier"] = bool(model.is_classifier)
        variants = []
        path = folder / "model.onnx"
        progress(0.4, "turning it into ONNX")
        try:
            model.convert(path, held_out if not isinstance(held_out, dict) else None)
        except Refused as refusal:
            # Tree models are served without ONNX; the others are not.
            if model.kind not in ("xgboost", "lightgbm"):
                raise
            variants.append({"name": "onnx", "skipped": str(refusal)})
        except Exception as error:
            if model.kind not in ("xgboost", "lightgbm"):
                raise Refused("failedPrecondition", f"the model cannot be turned into ONNX: {error}")
            variants.append({"name": "onnx", "skipped": f"the converter failed: {str(error).splitlines()[0][:200]}"})
        if path.exists():
            variants.append({"name": "onnx", "file": path.name})
            runtime = needed("onnxruntime", "quantizing")
            session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
            inputs = feeds(session, held_out)
            types = {item.name: TYPES[item.type][0] for item in session.get_inputs()}
            values["inputs"] = [dict(write(folder, f"input-{at}.bin", array, types[name]), name=name)
                                for at, (name, array) in enumerate(inputs.items())]
            quantize(path, folder, feeds(session, calibration), variants)
        else:
            values["inputs"] = [dict(write(folder, "input-0.bin", held_out, "FP32"), name="input")]
        values["variants"] = variants
        progress(1, "prepared")
        return {"artifacts": {}, "values": values}


    def main():
        spec = json.loads(pathlib.Path(sys.argv[sys.argv.index("--spec") + 1]).read_text())
        die_with_parent()
        try:
            outcome = {"ok": True, "result": run(spec)}
        except Refused as refusal:
            outcome = {"ok": False, "error": {"code": refusal.code, "message": str(refusal), "details": []}}
        except FileNotFoundError as error:
            outcome = {"ok": False, "error": {"code": "notFound", "message": f"there is no {error.filename}", "details": []}}
        except Exception as error:
            import traceback
            traceback.print_exc()
            message = f"{type(error).__name__}: {str(error)[:500]}"
            outcome = {"ok": False, "error": {"code": "failedPrecondition", "message": message, "details": []}}
        temporary = spec["result"] + ".tmp"
        pathlib.Path(temporary).write_text(json.dumps(outcome))
        os.replace(temporary, spec["result"])
        sys.exit(0 if outcome["ok"] else 1)


    main()

    """##
}
