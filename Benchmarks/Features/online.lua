-- POSTs get-online-features for entities and features given as numbers: wrk … -- ENTITIES KEYS FEATURES [PAUSE]
-- PAUSE: milliseconds that each connection waits before its next request.
local count, keys, features
local requests, at = {}, 0

function init(arguments)
    count, keys, features = tonumber(arguments[1]), tonumber(arguments[2]), tonumber(arguments[3])
    local pause = tonumber(arguments[4] or "0")
    if pause > 0 then delay = function() return pause end end
    local names = {}
    for i = 0, features - 1 do names[#names + 1] = '"stats:f' .. i .. '"' end
    math.randomseed(7)
    for number = 1, 1000 do
        local ids = {}
        for i = 1, keys do ids[i] = math.random(1, count) end
        local body = '{"entities":{"driver_id":[' .. table.concat(ids, ",") .. ']},"features":[' ..
            table.concat(names, ",") .. ']}'
        requests[number] = wrk.format("POST", "/get-online-features", {["Content-Type"] = "application/json"}, body)
    end
end

function request()
    at = at % 1000 + 1
    return requests[at]
end
