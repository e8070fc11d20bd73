"""Experiments: every verb, names that are taken, tags, searches and their pages."""


def lifecycle(s):
    s.get("experiments/get", experiment_id="0")
    made = s.post("experiments/create", name="a", tags=[{"key": "team", "value": "risk"}])["experiment_id"]
    s.post("experiments/create", name="a")
    s.post("experiments/create", name="")
    s.post("experiments/create")
    s.post("experiments/create", name="x" * 500)
    s.post("experiments/create", name="x" * 501)
    s.post("experiments/create", name=7)
    s.post("experiments/create", name="elsewhere", artifact_location="s3://bucket/prefix")
    s.post("experiments/create", name="in a file", artifact_location="file:///tmp/differential")
    s.post("experiments/create", name="hostile", artifact_location="mlflow-artifacts:/../x")
    s.post("experiments/create", name="fragment", artifact_location="s3://bucket/prefix#x")
    s.get("experiments/get", experiment_id=made)
    s.get("experiments/get", experiment_id="123456789")
    s.get("experiments/get", experiment_id="abc")
    s.get("experiments/get")
    s.get("experiments/get-by-name", experiment_name="a")
    s.get("experiments/get-by-name", experiment_name="A")
    s.get("experiments/get-by-name", experiment_name="nobody")
    s.get("experiments/get-by-name")
    s.post("experiments/update", experiment_id=made, new_name="b")
    s.post("experiments/update", experiment_id=made, new_name="elsewhere")
    s.post("experiments/update", experiment_id=made, new_name="")
    s.post("experiments/update", experiment_id=made)
    s.post("experiments/update", experiment_id="123456789", new_name="c")
    s.post("experiments/set-experiment-tag", experiment_id=made, key="k", value="v")
    s.post("experiments/set-experiment-tag", experiment_id=made, key="k", value="")
    s.post("experiments/set-experiment-tag", experiment_id=made, key="long", value="v" * 20_001)
    s.post("experiments/set-experiment-tag", experiment_id=made, key="k" * 251, value="v")
    s.post("experiments/set-experiment-tag", experiment_id=made, key="", value="v")
    s.post("experiments/set-experiment-tag", experiment_id="123456789", key="k", value="v")
    s.post("experiments/delete-experiment-tag", experiment_id=made, key="team")
    s.post("experiments/delete-experiment-tag", experiment_id=made, key="team")
    run = s.post("runs/create", experiment_id=made, run_name="r", start_time=5)["run"]["info"]["run_id"]
    s.post("experiments/delete", experiment_id=made)
    s.post("experiments/delete", experiment_id=made)
    s.get("experiments/get", experiment_id=made)
    s.get("experiments/get-by-name", experiment_name="b")
    s.post("experiments/create", name="b")
    s.post("experiments/update", experiment_id=made, new_name="c")
    s.post("experiments/set-experiment-tag", experiment_id=made, key="k", value="v")
    s.post("runs/create", experiment_id=made)
    s.get("runs/get", run_id=run)
    s.post("runs/log-metric", run_id=run, key="m", value=1.0, timestamp=1)
    s.post("experiments/restore", experiment_id=made)
    s.post("experiments/restore", experiment_id=made)
    s.get("runs/get", run_id=run)
    s.post("experiments/delete", experiment_id="123456789")
    s.post("experiments/restore", experiment_id="123456789")
    s.post("experiments/delete", experiment_id="abc")
    s.call("POST", "experiments/create", data="{broken")
    s.call("POST", "experiments/create", data="[]")


def searches(s):
    for name, team in (("s-one", "risk"), ("s-two", "fraud"), ("S-three", "risk"), ("s%four", "x")):
        s.post("experiments/create", name=name, tags=[{"key": "team", "value": team}, {"key": "a b", "value": name}])
    names = ("name = 's-one'", "name != 's-one'", "name LIKE 's-%'", "name ILIKE 's-%'", "name LIKE '%\\%%'",
             "tags.team = 'risk'", "tags.team != 'risk' AND name LIKE 's%'", "tags.`a b` = 's-two'",
             'tags."a b" = \'s-two\'', "tag.team LIKE 'fr%'", "tags.team IS NULL", "tags.team IS NOT NULL",
             "name = 's-one' AND tags.team = 'risk'", "name = 's-one' OR name = 's-two'", "name IN ('s-one')",
             "creation_time > 0 AND name = 's-one'", "last_update_time < 0", "creation_time > 'x'", "name > 'a'",
             "name = s-one", "nothing = 'x'", "metrics.m > 1", "name =", "name", "name = 's-one' AND", "tags.team = 5",
             "attribute.name = 's-one'", "attributes.name = 's-one'", "experiment_id = '0'")
    for text in names:
        s.post("experiments/search", filter=text, max_results=50, order_by=["name ASC"])
    for order in (["name DESC"], ["name"], ["experiment_id ASC"], ["creation_time ASC", "name DESC"], ["tags.team"],
                  ["name UP"], ["nothing"], ["last_update_time DESC"], [""]):
        s.post("experiments/search", filter="name LIKE 's-%'", max_results=50, order_by=order)
    for limit in (0, -1, 50_000, 50_001, "x"):
        s.post("experiments/search", filter="name = 's-one'", max_results=limit)
    s.post("experiments/search", filter="name = 's-one'")
    first = s.post("experiments/search", filter="name ILIKE 's-%'", max_results=2, order_by=["name ASC"])
    s.post("experiments/search", filter="name ILIKE 's-%'", max_results=2, order_by=["name ASC"],
           page_token=first.get("next_page_token"))
    s.post("experiments/search", max_results=2, page_token="!")
    s.get("experiments/search", filter="name = 's-one'", max_results=3)
    one = s.get("experiments/get-by-name", experiment_name="s-one")["experiment"]["experiment_id"]
    s.post("experiments/delete", experiment_id=one)
    for view in ("ACTIVE_ONLY", "DELETED_ONLY", "ALL", "NONE"):
        s.post("experiments/search", filter="name = 's-one'", max_results=3, view_type=view)
    s.do("client search", lambda c: [e.name for e in c.search_experiments(filter_string="name LIKE 's-%'")])


GROUPS = {"experiments": lifecycle, "experiment searches": searches}
