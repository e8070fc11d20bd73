/// The Python side of `PythonFunctions`. It is part of the binary, so that the binary is all there is to install.
enum FunctionScript {
    static let text = ##"""
    # Runs the functions of feature views. Descriptor 3 is a socket: messages both ways are JSON after their length, four
    # bytes, the lowest first. {"op": "load", "id", "view", "mode", "singleton", "name", "source", "pickle", "plan"} makes a
    # function known; {"op": "call", "id", "view", "rows", "columns", "features"} answers with "values" by feature;
    # {"op": "table", …, "table", "result"} answers with "rows" after each batch, and "done". An error is {"error": words}.
    # The first message is {"ready"}, once what functions are made of is there.
    import ast, base64, datetime, decimal, importlib, json, os, queue, socket, sys, textwrap, threading, traceback, uuid

    UTC = datetime.timezone.utc
    BATCH = 2000
    channel = socket.socket(fileno=3)
    known = {}


    class Refused(Exception):
        pass


    def needed(module, view):
        try:
            return importlib.import_module(module)
        except ImportError as error:
            package = module.split(".")[0]
            raise Refused(f"the function of feature view '{view}' needs the Python package {package}, which {sys.executable} "
                          f"does not have ({error}); install it there, or name another interpreter with --feature-python")


    # Messages


    def received(count):
        data = bytearray()
        while len(data) < count:
            part = channel.recv(min(count - len(data), 1 << 20))
            if not part:
                raise EOFError
            data += part
        return bytes(data)


    def listen(messages):
        # In a thread, so that the end of the server ends a function that never does.
        try:
            while True:
                messages.put(received(int.from_bytes(received(4), "little")))
        except (EOFError, OSError):
            if os.getpgrp() == os.getpid():
                os.killpg(0, 9)
            os._exit(1)


    def answer(message):
        data = json.dumps(message, allow_nan=False).encode()
        channel.sendall(len(data).to_bytes(4, "little") + data)


    # Functions


    def from_source(source, name):
        # The first function, or the one of the name, without its decorators.
        tree = ast.parse(textwrap.dedent(source))
        functions = [node for node in tree.body if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))]
        for node in functions:
            node.decorator_list = []
        if not functions:
            raise ValueError("its source has no function")
        scope = {"__name__": "__main__"}
        for module, short in (("pandas", "pd"), ("numpy", "np")):
            try:
                scope[module] = scope[short] = importlib.import_module(module)
            except ImportError:
                pass
        exec(compile(tree, "<function>", "exec"), scope)
        names = [node.name for node in functions]
        return scope[name if name in names else names[0]]


    def load(message):
        view, problem = message["view"], None
        if message["mode"] == "substrait":
            known[message["id"]] = (planned(view, base64.b64decode(message["plan"])), "substrait", False)
            return
        if message["pickle"]:
            dill = needed("dill", view) if not message["source"] else None
            try:
                dill = dill or importlib.import_module("dill")
                function = dill.loads(base64.b64decode(message["pickle"]))
                known[message["id"]] = (function, message["mode"], message["singleton"])
                return
            except Exception as error:
                problem = error
        try:
            if not message["source"]:
                raise problem
            function = from_source(message["source"], message["name"])
        except Exception as error:
            raise Refused(f"the function of feature view '{view}' cannot be loaded by Python "
                          f"{sys.version.split()[0]}: {problem or error}")
        known[message["id"]] = (function, message["mode"], message["singleton"])


    def planned(view, plan):
        # A function of a plan over one table, whose columns are those that the plan names, of the types that it gives them.
        arrow, substrait = needed("pyarrow", view), needed("pyarrow.substrait", view)

        def function(columns):
            def table(names, schema):
                for name in schema.names:
                    check(name in columns, view, f"reads '{name}', which is none of {', '.join(columns)}")
                return arrow.table([arrow.array(columns[name], schema.field(name).type) for name in schema.names], schema)
            # One thread keeps the rows' order.
            result = substrait.run_query(plan, table_provider=table, use_threads=False).read_all()
            return {name: result.column(name).to_pylist() for name in result.column_names}
        return function


    # Values


    SPECIAL = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}
    TEXTS = ("JSON", "UUID", "TIME_UUID", "DECIMAL")
    NESTED = ("MAP", "MAP_LIST", "STRUCT", "STRUCT_LIST", "VALUE_LIST", "VALUE_SET")


    def element(kind):
        # The type of the elements of a list or a set of one type; None for another type.
        return None if kind in NESTED or not kind.endswith(("_LIST", "_SET")) else kind.rpartition("_")[0]


    def decoded(value, kind):
        # From JSON.
        if value is None:
            return None
        if element(kind):
            return [decoded(one, element(kind)) for one in value]
        if kind in ("FLOAT", "DOUBLE"):
            return SPECIAL[value] if isinstance(value, str) else float(value)
        return base64.b64decode(value) if kind == "BYTES" else value


    def python(value, kind):
        # As Feast gives it to a function.
        if value is None:
            return None
        if element(kind):
            values = [python(one, element(kind)) for one in value]
            return set(values) if kind.endswith("_SET") else values
        if kind == "UNIX_TIMESTAMP":
            return datetime.datetime.fromtimestamp(value, UTC)
        if kind in ("UUID", "TIME_UUID"):
            return uuid.UUID(value)
        if kind == "DECIMAL":
            return decimal.Decimal(value)
        if kind == "JSON" or kind in NESTED:
            return json.loads(value) if isinstance(value, str) else value
        return value


    PLAIN = ("INT32", "INT64", "FLOAT", "DOUBLE", "STRING", "BOOL", "BYTES", "")


    def pythons(values, kind):
        return values if kind in PLAIN else [python(one, kind) for one in values]


    def series(pandas, values, kind):
        some = any(one is None for one in values)
        if kind in ("INT32", "INT64"):
            return pandas.Series(values, dtype="float64" if some else "int64")
        if kind in ("FLOAT", "DOUBLE"):
            return pandas.Series(values, dtype="float64")
        if kind == "UNIX_TIMESTAMP":
            return pandas.Series(pandas.to_datetime(pandas.Series(values, dtype="object"), utc=True))
        if kind == "BOOL" and not some:
            return pandas.Series(values, dtype="bool")
        return pandas.Series(values, dtype="object") if kind else pandas.Series(values)


    def unknown(value):
        if value is None or type(value).__name__ == "NAType":
            return True
        try:
            return bool(value != value)
        except (TypeError, ValueError):
            return False


    RANGES = {"INT32": 1 << 31, "INT64": 1 << 63}


    def plain(value, kind):
        # A result in the type that is declared; ValueError if it is none.
        if element(kind):
            if value is None:
                return None
            if hasattr(value, "tolist"):
                value = value.tolist()
            if not isinstance(value, (list, tuple, set, frozenset)):
                raise ValueError
            return [plain(one, element(kind)) for one in value]
        if kind == "JSON" or kind in NESTED:
            if value is None or isinstance(value, float) and value != value:
                return None
            return value if isinstance(value, str) else json.dumps(value)
        if unknown(value):
            return None
        if kind in TEXTS and isinstance(value, (str, uuid.UUID, decimal.Decimal)):
            return str(value)
        if kind == "UNIX_TIMESTAMP":
            if type(value).__name__ == "datetime64":
                return int(value.astype("datetime64[s]").astype("int64"))
            if isinstance(value, datetime.datetime):
                value = value if value.tzinfo else value.replace(tzinfo=UTC)
                return (value - datetime.datetime(1970, 1, 1, tzinfo=UTC)) // datetime.timedelta(seconds=1)
        if hasattr(value, "item") and not isinstance(value, (list, tuple, str, bytes)):
            value = value.item()
        if kind == "STRING" and isinstance(value, str):
            return value
        if kind == "BYTES" and isinstance(value, (bytes, bytearray)):
            return bytes(value)
        if kind == "BOOL" and (isinstance(value, bool) or value in (0, 1)):
            return bool(value)
        if kind in ("FLOAT", "DOUBLE") and isinstance(value, (int, float)):
            return float(value)
        if kind in ("INT32", "INT64", "UNIX_TIMESTAMP") and isinstance(value, (int, float)) and value == int(value):
            limit = RANGES.get(kind, 1 << 63)
            if -limit <= int(value) < limit:
                return int(value)
        raise ValueError


    def encoded(value):
        # For JSON.
        if isinstance(value, list):
            return [encoded(one) for one in value]
        if isinstance(value, bytes):
            return base64.b64encode(value).decode()
        if isinstance(value, float) and value in (float("inf"), float("-inf")):
            return "Infinity" if value > 0 else "-Infinity"
        return value


    def stored(value, kind):
        # In a table moments are no numbers.
        if value is None or "UNIX_TIMESTAMP" not in kind:
            return value
        return [stored(one, element(kind)) for one in value] if element(kind) else python(value, kind)


    # Calls


    def called(view, function, argument):
        try:
            return function(argument)
        except Exception as error:
            traceback.print_exc()
            frames = [one for one in traceback.extract_tb(error.__traceback__)][1:]
            place = f", in line {frames[-1].lineno} of {frames[-1].name}" if frames else ""
            raise Refused(f"the function of feature view '{view}' failed: {type(error).__name__}: {error}{place}")


    def listed(column):
        # A column of a result as a list.
        if getattr(getattr(column, "dtype", None), "kind", "") == "M":
            return list(column)
        if hasattr(column, "tolist"):
            column = column.tolist()
        return list(column) if isinstance(column, (list, tuple)) else None


    def alone(value, kind):
        # What a singleton gives of one row: the value, or a list of it.
        if isinstance(value, (list, tuple)) and len(value) == 1:
            if not kind.endswith("_LIST") or isinstance(value[0], (list, tuple)):
                return value[0]
        return value


    def outputs(view, identifier, rows, columns, features):
        # columns: (names, type, values).
        function, mode, singleton = known[identifier]
        wanted = [feature["name"] for feature in features]
        given = {name: (kind, values) for names, kind, values in columns for name in names}
        if singleton:
            results = {name: [] for name in wanted}
            rowwise = {name: pythons(values, kind) for name, (kind, values) in given.items()}
            for row in range(rows):
                result = called(view, function, {name: values[row] for name, values in rowwise.items()})
                check(isinstance(result, dict), view, f"gave {type(result).__name__} and not a dictionary")
                for feature in features:
                    name = feature["name"]
                    check(name in result, view, f"gave no value of feature '{name}'")
                    results[name].append(alone(result[name], feature["type"]))
        elif mode == "pandas":
            pandas = needed("pandas", view)
            frame = pandas.DataFrame({name: series(pandas, pythons(values, kind), kind)
                                      for name, (kind, values) in given.items()}, index=range(rows))
            results = called(view, function, frame)
            check(isinstance(results, pandas.DataFrame), view, f"gave {type(results).__name__} and not a DataFrame")
        else:
            results = called(view, function, {name: pythons(values, kind) for name, (kind, values) in given.items()})
            check(isinstance(results, dict), view, f"gave {type(results).__name__} and not a dictionary")
        return [typed(view, feature, results, rows) for feature in features]


    def check(good, view, words):
        if not good:
            raise Refused(f"the function of feature view '{view}' {words}")


    def typed(view, feature, results, rows):
        name, kind = feature["name"], feature["type"]
        place = name if name in results else f"{view}__{name}"
        check(place in results, view, f"gave no column '{name}'; it gave {', '.join(map(str, results)) or 'none'}")
        values = listed(results[place])
        if values is None and rows == 1:
            values = [results[place]]
        check(values is not None, view, f"gave {type(results[place]).__name__} as column '{name}', and not a list")
        check(len(values) == rows, view, f"gave {len(values)} values of feature '{name}' for {rows} rows")
        typed = []
        for row, value in enumerate(values):
            try:
                typed.append(plain(value, kind))
            except (ValueError, OverflowError, TypeError):
                text = repr(value)[:60]
                check(False, view, f"gave {text} ({type(value).__name__}) in row {row} of feature '{name}', which is {kind}")
        return typed


    def call(message):
        columns = []
        for one in message["columns"]:
            kind = one["type"] or ""
            columns.append((one["names"], kind, [decoded(value, kind) for value in one["values"]]))
        values = outputs(message["view"], message["id"], message["rows"], columns, message["features"])
        answer({"values": [[encoded(value) for value in column] for column in values]})


    def table(message):
        view, features = message["view"], message["features"]
        arrow, parquet = needed("pyarrow", view), needed("pyarrow.parquet", view)
        kinds = {"INT32": arrow.int32(), "INT64": arrow.int64(), "FLOAT": arrow.float32(), "DOUBLE": arrow.float64(),
                 "STRING": arrow.string(), "BOOL": arrow.bool_(), "BYTES": arrow.binary(),
                 "UNIX_TIMESTAMP": arrow.timestamp("us", tz="UTC")}
        kinds.update({kind: arrow.string() for kind in TEXTS + NESTED})
        types = [arrow.list_(kinds[element(one["type"])]) if element(one["type"]) else kinds[one["type"]]
                 for one in features]
        schema = arrow.schema([("row", arrow.int64())] + [(f"f{place}", kind) for place, kind in enumerate(types)])
        done = 0
        # Loading the packages is not the first batch's time.
        answer({"rows": done})
        with parquet.ParquetFile(message["table"]) as source, parquet.ParquetWriter(message["result"], schema) as result:
            for batch in source.iter_batches(batch_size=BATCH):
                columns = [(one["names"], one["type"] or "", batch.column(f"c{place}").to_pylist())
                           for place, one in enumerate(message["columns"])]
                values = outputs(view, message["id"], batch.num_rows, columns, features)
                values = [[stored(value, one["type"]) for value in column] for column, one in zip(values, features)]
                arrays = [arrow.array(column, kind) for column, kind in zip(values, types)]
                rows = batch.column("row").cast(arrow.int64())
                result.write_batch(arrow.record_batch([rows] + arrays, schema=schema))
                done += batch.num_rows
                answer({"rows": done})
        answer({"done": True})


    def main():
        messages = queue.SimpleQueue()
        threading.Thread(target=listen, args=(messages,), daemon=True).start()
        # Before the first call, which would wait for them.
        for module in ("dill", "pandas"):
            try:
                importlib.import_module(module)
            except ImportError:
                pass
        answer({"ready": True})
        while True:
            try:
                message = json.loads(messages.get())
                if message["op"] == "load":
                    load(message)
                    answer({"done": True})
                else:
                    (call if message["op"] == "call" else table)(message)
            except Refused as refusal:
                answer({"error": str(refusal)})
            except Exception as error:
                traceback.print_exc()
                view = message.get("view", "")
                answer({"error": f"feature view '{view}' could not be computed: {type(error).__name__}: {error}"})


    main()
    """##
}
