-- The request that wrk sends: METHOD, a body unless it is empty, and header lines; and its summary at the end, as one line of JSON.
-- Of a header `Name: @FILE`, each request has another line of the file.

-- As in load.rs.
local THREADS = 2
local started = 0

-- Called for each thread, before its init, but not in the thread's own state.
function setup(thread)
  thread:set("thread_number", started)
  started = started + 1
end

function init(args)
  wrk.method = args[1]
  if args[2] and args[2] ~= "" then
    wrk.body = args[2]
    wrk.headers["Content-Type"] = "application/json"
  end
  local file
  for line = 3, #args do
    local name, value = args[line]:match("^([^:]+): (.*)$")
    file = file or value:match("^@(.+)$")
    wrk.headers[name] = value
  end
  if file then
    cycle(file)
  end
end

-- Each thread starts at its own place in the file, and goes on at the beginning after its end.
function cycle(name)
  local file = assert(io.open(name, "r"))
  local bytes = file:seek("end")
  file:seek("set", math.floor(bytes * thread_number / THREADS))
  if thread_number > 0 then
    -- The rest of a line.
    file:read("*l")
  end
  local text = wrk.format()
  local first, last = text:find("@" .. name, 1, true)
  local before, after = text:sub(1, first - 1), text:sub(last + 1)
  function request()
    local line = file:read("*l")
    if not line then
      file:seek("set", 0)
      line = file:read("*l")
    end
    return before .. line .. after
  end
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '\n{"requests":%d,"duration_us":%d,"p50_us":%d,"p99_us":%d,"errors":%d}\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
