-- wrk: the same search again and again; the body comes from a file.
local body
function init(args) body = io.open(args[1]):read("a") end
function request()
  return wrk.format("POST", "/api/2.0/mlflow/runs/search", {["Content-Type"] = "application/json"}, body)
end
