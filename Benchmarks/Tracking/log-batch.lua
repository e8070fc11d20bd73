-- wrk: 100 metrics a request, of as many runs as are named, one step further each time.
local runs, count, heads, tails = {}, 0, {}, {}
local start = 1700000000000
function init(args)
  runs = args
  for i = 1, 100 do
    heads[i] = (i > 1 and ',' or '') .. '{"key":"metric_' .. i .. '","value":0.' .. (100 + i)
  end
end
function request()
  count = count + 1
  local run = runs[count % #runs + 1]
  local tail = count .. ',"timestamp":' .. (start + count) .. ',"step":' .. count .. '}'
  local parts = {'{"run_id":"', run, '","metrics":['}
  for i = 1, 100 do
    parts[#parts + 1] = heads[i]
    parts[#parts + 1] = tail
  end
  parts[#parts + 1] = ']}'
  return wrk.format("POST", "/api/2.0/mlflow/runs/log-batch", {["Content-Type"] = "application/json"},
    table.concat(parts))
end
