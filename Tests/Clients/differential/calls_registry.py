"""The model registry: names, versions, stages, aliases, tags and searches."""


def _version(s, name, run, **more):
    return s.post("model-versions/create", name=name, run_id=run,
                  source=s.client.get_run(run).info.artifact_uri + "/model", **more)


def _run(s, name):
    e = s.post("experiments/create", name=name)["experiment_id"]
    return s.post("runs/create", experiment_id=e, run_name="r", start_time=1)["run"]["info"]["run_id"]


def models(s):
    s.post("registered-models/create", name="one", description="d", tags=[{"key": "t", "value": "1"}])
    s.post("registered-models/create", name="one")
    for name in ("", "a/b", "a:b", "x" * 257, "ä b"):
        s.post("registered-models/create", name=name)
    s.post("registered-models/create")
    s.post("registered-models/create", name="two")
    s.get("registered-models/get", name="one")
    s.get("registered-models/get", name="ONE")
    s.get("registered-models/get", name="none")
    s.get("registered-models/get")
    s.post("registered-models/rename", name="two", new_name="one")
    s.post("registered-models/rename", name="two", new_name="two")
    s.post("registered-models/rename", name="two", new_name="three")
    s.post("registered-models/rename", name="none", new_name="four")
    s.post("registered-models/rename", name="three", new_name="")
    s.post("registered-models/rename", name="three")
    s.patch("registered-models/update", name="three", description="new")
    s.patch("registered-models/update", name="three", description="")
    s.patch("registered-models/update", name="three")
    s.patch("registered-models/update", name="none", description="x")
    s.post("registered-models/set-tag", name="three", key="k", value="v")
    s.post("registered-models/set-tag", name="three", key="k" * 251, value="v")
    s.post("registered-models/set-tag", name="three", key="", value="v")
    s.post("registered-models/set-tag", name="three", key="long", value="v" * 100_001)
    s.post("registered-models/set-tag", name="none", key="k", value="v")
    s.delete("registered-models/delete-tag", name="three", key="k")
    s.delete("registered-models/delete-tag", name="three", key="k")
    s.delete("registered-models/delete-tag", name="none", key="k")
    s.delete("registered-models/delete", name="three")
    s.delete("registered-models/delete", name="three")


def versions(s):
    run = _run(s, "registry versions")
    s.post("registered-models/create", name="v")
    _version(s, "v", run, description="first", tags=[{"key": "t", "value": "1"}], run_link="http://x")
    _version(s, "v", run)
    _version(s, "none", run)
    s.post("model-versions/create", name="v")
    s.post("model-versions/create", name="v", source="")
    s.post("model-versions/create", name="v", source="s3://bucket/model")
    s.post("model-versions/create", name="v", source="/etc")
    s.post("model-versions/create", name="v", source="mlflow-artifacts:/../x")
    s.post("model-versions/create", name="v", source="models:/m-" + "0" * 32)
    s.get("model-versions/get", name="v", version="1")
    s.get("model-versions/get", name="v", version="99")
    s.get("model-versions/get", name="v", version="x")
    s.get("model-versions/get", name="v")
    s.get("model-versions/get", name="none", version="1")
    s.patch("model-versions/update", name="v", version="1", description="new")
    s.patch("model-versions/update", name="v", version="1")
    s.patch("model-versions/update", name="v", version="99", description="new")
    s.get("model-versions/get-download-uri", name="v", version="1")
    s.get("model-versions/get-download-uri", name="v", version="99")
    s.post("model-versions/set-tag", name="v", version="1", key="k", value="v")
    s.post("model-versions/set-tag", name="v", version="1", key="", value="v")
    s.post("model-versions/set-tag", name="v", version="99", key="k", value="v")
    s.delete("model-versions/delete-tag", name="v", version="1", key="k")
    s.delete("model-versions/delete-tag", name="v", version="1", key="k")
    for version, stage, archive in (("1", "Staging", False), ("2", "staging", True), ("1", "Production", True),
                                    ("2", "Production", True), ("1", "Development", False), ("1", "Nonsense", False),
                                    ("1", "None", True), ("1", "Archived", False), ("99", "Staging", False)):
        s.post("model-versions/transition-stage", name="v", version=version, stage=stage, archive_existing_versions=archive)
    s.post("model-versions/transition-stage", name="v", version="1", stage="Staging")
    s.post("registered-models/get-latest-versions", name="v")
    s.get("registered-models/get-latest-versions", name="v", stages=["Production"])
    s.get("registered-models/get-latest-versions", name="v", stages=["Nonsense"])
    s.get("registered-models/get-latest-versions", name="none")
    s.get("registered-models/get", name="v")
    for alias in ("champion", "Champion", "CHALLENGER", "latest", "v1", "V2", "a b", "", "x" * 256, "vx", "a.b"):
        s.post("registered-models/alias", name="v", alias=alias, version="1")
    s.post("registered-models/alias", name="v", alias="champion", version="2")
    s.post("registered-models/alias", name="v", alias="champion", version="99")
    s.post("registered-models/alias", name="none", alias="champion", version="1")
    for alias in ("champion", "CHAMPION", "Challenger", "none", "latest"):
        s.get("registered-models/alias", name="v", alias=alias)
    s.get("registered-models/get", name="v")
    s.delete("registered-models/alias", name="v", alias="Champion")
    s.delete("registered-models/alias", name="v", alias="champion")
    s.delete("registered-models/alias", name="v", alias="champion")
    s.delete("registered-models/alias", name="none", alias="x")
    s.do("copy", lambda c: c.copy_model_version("models:/v/1", "copied").source)
    s.do("copy of nothing", lambda c: c.copy_model_version("models:/v/99", "copied"))
    s.do("copy by alias", lambda c: c.copy_model_version("models:/v@challenger", "copied").version)
    s.delete("model-versions/delete", name="v", version="2")
    s.delete("model-versions/delete", name="v", version="2")
    s.get("model-versions/get", name="v", version="2")
    _version(s, "v", run)
    s.post("registered-models/rename", name="v", new_name="w")
    s.get("model-versions/get", name="w", version="1")
    s.delete("registered-models/delete", name="w")
    s.get("model-versions/get", name="w", version="1")


def searches(s):
    run = _run(s, "registry searches")
    for name in ("s-a", "s-b", "S-c"):
        s.post("registered-models/create", name=name, tags=[{"key": "team", "value": name[-1]}])
        _version(s, name, run, tags=[{"key": "v", "value": name}])
    for text in ("name = 's-a'", "name != 's-a' AND name LIKE 's-%'", "name LIKE 's-%'", "name ILIKE 's-%'",
                 "tags.team = 'a'", "tags.team LIKE 'a' AND name LIKE 's-%'", "tags.`team` = 'b'", "name = 5", "nothing = 'x'",
                 "name > 'a'", "name = 's-a' OR name = 's-b'", "name IN ('s-a')", "tags.team != 'a' AND name ILIKE 's-%'",
                 "attribute.name = 's-a'", "name", "tags.team IS NULL AND name LIKE 's-%'"):
        s.get("registered-models/search", filter=text, order_by=["name ASC"])
    for order in (["name DESC"], ["name"], ["timestamp ASC"], ["last_updated_timestamp"], ["creation_timestamp"],
                  ["nothing"], ["name UP"]):
        s.get("registered-models/search", filter="name LIKE 's-%'", order_by=order)
    for limit in (0, 1, 1000, 1001):
        s.get("registered-models/search", filter="name LIKE 's-%'", max_results=limit)
    page = s.get("registered-models/search", filter="name ILIKE 's-%'", max_results=2)
    s.get("registered-models/search", filter="name ILIKE 's-%'", max_results=2, page_token=page.get("next_page_token"))
    s.get("registered-models/search", page_token="!")
    for text in ("name = 's-a'", "name LIKE 's-%'", f"run_id = '{run}'", "run_id = 'none'", f"run_id IN ('{run}', 'x')",
                 "run_id IN ()", "source_path LIKE '%model'", "tags.v = 's-a'", "version_number = 1 AND name = 's-a'",
                 "version_number > 0 AND name = 's-b'", "version_number = 'x'", "name IN ('s-a', 's-b')", "nothing = 'x'",
                 "name = 's-a' OR run_id = 'x'", "tags.v LIKE 's%' AND name = 's-b'", "current_stage = 'None'",
                 "name > 's'", "creation_timestamp > 0 AND name = 's-a'"):
        s.get("model-versions/search", filter=text, order_by=["name ASC"])
    for order in (["name DESC"], ["version_number ASC"], ["creation_timestamp DESC", "name ASC"], ["last_updated_timestamp"],
                  ["nothing"], ["timestamp"]):
        s.get("model-versions/search", filter="name LIKE 's-%'", order_by=order)
    for limit in (0, 1, 200_000, 200_001):
        s.get("model-versions/search", filter="name = 's-a'", max_results=limit)
    s.do("client search", lambda c: sorted(m.name for m in c.search_registered_models("name LIKE 's-%'")))


GROUPS = {"registered models": models, "versions": versions, "registry searches": searches}
