-- Sends the requests of a file, one after the other, and prints what wrk measured as JSON.
--
-- Arguments: the file, or "-" for a GET of the address; then what every answer must be: its
-- status, and the Lua pattern that its Location begins with (both may be missing). A line of the
-- file is a body in JSON for the address, or the path, cookies and body of a form, with tabs
-- between them.

local requests, turn, threads = {}, 0, {}
wrong, first_wrong = 0, ""

local function format(line)
  local path, cookies, form = line:match("^(.-)\t(.-)\t(.*)$")
  local headers = { ["Content-Type"] = "application/json; charset=utf-8" }
  if path then
    headers = { ["Content-Type"] = "application/x-www-form-urlencoded", ["Cookie"] = cookies }
  end
  return wrk.format("POST", path, headers, form or line)
end

local function check_answers(expected_status, expected_location)
  function response(status, headers)
    local location = headers["Location"] or headers["location"] or ""
    if status ~= expected_status or not location:find("^" .. expected_location) then
      wrong = wrong + 1
      if wrong == 1 then first_wrong = status .. " " .. location end
    end
  end
end

function setup(thread)
  threads[#threads + 1] = thread
end

function init(args)
  if args[1] == "-" then
    requests[1] = wrk.format("GET")
  else
    for line in io.lines(args[1]) do
      requests[#requests + 1] = format(line)
    end
  end
  if args[2] then
    check_answers(tonumber(args[2]), args[3] or "")
  end
end

function request()
  turn = turn % #requests + 1
  return requests[turn]
end

function done(summary, latency)
  local errors, first = summary.errors, ""
  local unexpected = 0
  for _, thread in ipairs(threads) do
    unexpected = unexpected + thread:get("wrong")
    first = thread:get("first_wrong")
  end
  local failed = errors.connect + errors.read + errors.write + errors.timeout
    + math.max(errors.status, unexpected)
  io.write(string.format(
    '\n{"requests": %d, "microseconds": %d, "p50": %d, "p99": %d, "failed": %d, "first": "%s"}\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    failed, first))
end
