-- POSTs get-online-features for entities and features given as numbers: wrk … -- ENTITIES KEYS FEATURES [PAUSE [ZIPF]]
-- PAUSE: milliseconds that each connection waits before its next request.
-- ZIPF: how popular entities are: the one of rank r by 1 / r^ZIPF, with ranks dealt at random; 0: all alike.
-- 20,000 requests are made beforehand and sent one after the other.
local count, keys, features
local requests, at = {}, 0

-- Gives a function that draws an entity.
local function drawing(exponent)
    if exponent == 0 then return function() return math.random(1, count) end end
    local ids, sums, sum = {}, {}, 0
    for rank = 1, count do
        ids[rank] = rank
        sum = sum + rank ^ -exponent
        sums[rank] = sum
    end
    for rank = count, 2, -1 do
        local other = math.random(1, rank)
        ids[rank], ids[other] = ids[other], ids[rank]
    end
    return function()
        local wanted, low, high = math.random() * sum, 1, count
        while low < high do
            local middle = math.floor((low + high) / 2)
            if sums[middle] < wanted then low = middle + 1 else high = middle end
        end
        return ids[low]
    end
end

function init(arguments)
    count, keys, features = tonumber(arguments[1]), tonumber(arguments[2]), tonumber(arguments[3])
    local pause = tonumber(arguments[4] or "0")
    if pause > 0 then delay = function() return pause end end
    local names = {}
    for i = 0, features - 1 do names[#names + 1] = '"stats:f' .. i .. '"' end
    math.randomseed(7)
    local draw = drawing(tonumber(arguments[5] or "0"))
    for number = 1, 20000 do
        local ids = {}
        for i = 1, keys do ids[i] = draw() end
        local body = '{"entities":{"driver_id":[' .. table.concat(ids, ",") .. ']},"features":[' ..
            table.concat(names, ",") .. ']}'
        requests[number] = wrk.format("POST", "/get-online-features", {["Content-Type"] = "application/json"}, body)
    end
end

function request()
    at = at % #requests + 1
    return requests[at]
end
