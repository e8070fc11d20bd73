"""One pass of the calls against one server, and the answers in a form in which two servers can be compared."""
import json
import re
from enum import Enum

import requests
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

IDENTIFIER = re.compile(r"\b(m-[0-9a-f]{32}|tr-[0-9a-f]{32}|a-[0-9a-f]{32}|[0-9a-f]{32})\b")
GENERATED_NAME = re.compile(r"^[a-z]+-[a-z]+-\d{1,3}$")
LOCATION = re.compile(r"^mlflow-artifacts:/+(\d+)")
# Lists whose order nobody promises.
UNORDERED = {"tags", "params", "metrics", "aliases", "dataset_summaries", "dataset_inputs", "model_outputs", "latest_versions"}


class Session:
    """`answers` holds what each call answered, by a name that stays the same from pass to pass."""

    def __init__(self, base: str):
        self.base = base
        self.http = requests.Session()
        self.client = MlflowClient(base, base)
        self.answers: dict[str, object] = {}
        self.group = ""
        self.count = 0
        self.places: dict[tuple[str, str], str] = {}

    def begin(self, group: str):
        self.group, self.count, self.places = group, 0, {}

    def _keep(self, what: str, answer):
        self.count += 1
        self.answers[f"{self.group} {self.count:02} {what}"] = self._plain(answer)

    # MARK: Raw REST

    def call(self, method: str, path: str, body=None, query=None, data=None, version="2.0") -> dict:
        """Sends one request and keeps its status and body; of an error only the code, since its words may differ."""
        answer = self.http.request(
            method, f"{self.base}/api/{version}/mlflow/{path}", json=body, params=query, data=data, timeout=60,
            headers={"Content-Type": "application/json"} if data is not None else None)
        try:
            parsed = answer.json()
        except ValueError:
            parsed = {}
        kept = {"status": answer.status_code}
        kept["body" if answer.status_code == 200 else "error"] = (
            parsed if answer.status_code == 200 else parsed.get("error_code"))
        self._keep(f"{method} {self._named(path)}", kept)
        return parsed

    def post(self, path, **body):
        return self.call("POST", path, body)

    def patch(self, path, **body):
        return self.call("PATCH", path, body)

    def delete(self, path, **body):
        return self.call("DELETE", path, body)

    def get(self, path, **query):
        return self.call("GET", path, query=query)

    def found(self, what: str, body: dict):
        """Searches for traces and keeps which they are, in their order, or the error."""
        answer = self.http.post(f"{self.base}/api/3.0/mlflow/traces/search", json=body, timeout=60)
        self._keep(what, {"found": [trace["trace_id"] for trace in answer.json().get("traces", [])]} if answer.ok
                   else {"status": answer.status_code, "error": answer.json().get("error_code")})

    # MARK: The client

    def do(self, what: str, call):
        """Calls something of the client's and keeps what it returned, or the code of the error it raised."""
        try:
            result = call(self.client)
        except MlflowException as error:
            self._keep(what, {"error": error.error_code})
            return None
        self._keep(what, result)
        return result

    # MARK: Comparable forms

    def _place(self, kind: str, value: str) -> str:
        if (kind, value) not in self.places:
            number = sum(1 for known, _ in self.places if known == kind) + 1
            self.places[kind, value] = f"<{kind} {number}>"
        return self.places[kind, value]

    def _named(self, path: str) -> str:
        return IDENTIFIER.sub("{id}", path)

    def _plain(self, value, key: str = ""):
        if isinstance(value, Enum):
            return value.name
        if isinstance(value, dict):
            return {str(name): self._plain(part, str(name)) for name, part in value.items()}
        if isinstance(value, (list, tuple)):
            parts = list(value)
            if key in UNORDERED:
                parts.sort(key=lambda part: json.dumps(part, sort_keys=True, default=str))
            return [self._plain(part, key) for part in parts]
        if isinstance(value, (bool, type(None))):
            return value
        if isinstance(value, (int, float)):
            if "time" in key and value > 1_600_000_000_000:
                return "<time>"
            return repr(value) if value != value or abs(value) == float("inf") else value
        if isinstance(value, str):
            return self._text(value, key)
        if isinstance(value, (bytes, bytearray)):
            return f"<{len(value)} bytes>"
        fields = {name.lstrip("_"): part for name, part in vars(value).items()}
        return self._plain(fields)

    def _text(self, text: str, key: str):
        if key in ("page_token", "next_page_token", "token"):
            return "<token>" if text else ""
        if key in ("experiment_id",):
            return self._place("experiment", text)
        if key in ("request_time",):
            return "<time>"
        if (key in ("run_name", "name", "value") or "name" in key) and GENERATED_NAME.match(text):
            return "<generated name>"
        text = LOCATION.sub(lambda found: "mlflow-artifacts:/" + self._place("experiment", found[1]), text)
        return IDENTIFIER.sub(lambda found: self._place("id", found[1]), text)
