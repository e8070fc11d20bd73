-- wrk: one run a request, as `mlflow.start_run` sends it.
local body = '{"experiment_id":"%s","user_id":"bench","run_name":"r%d","start_time":%d,"tags":[' ..
  '{"key":"mlflow.user","value":"bench"},{"key":"mlflow.source.name","value":"train.py"},' ..
  '{"key":"mlflow.source.type","value":"LOCAL"},{"key":"mlflow.runName","value":"r%d"}]}'
local experiment, count, start = "0", 0, 1700000000000
function init(args) experiment = args[1] or "0" end
function request()
  count = count + 1
  return wrk.format("POST", "/api/2.0/mlflow/runs/create", {["Content-Type"] = "application/json"},
    body:format(experiment, count, start + count, count))
end
