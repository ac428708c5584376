-- For wrk: each request asks for the page of another student, so that no proxy sees the same route twice in a row.
local first, last

function init(args)
  first, last = tonumber(args[1]), tonumber(args[2])
  math.randomseed(1)
end

function request()
  return wrk.format("GET", "/user/student-" .. math.random(first, last) .. "/api/status")
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    "\nfigures requests=%d microseconds=%d bytes=%d p50=%d p99=%d failed=%d status=%d\n",
    summary.requests, summary.duration, summary.bytes, latency:percentile(50), latency:percentile(99),
    errors.connect + errors.read + errors.write + errors.timeout, errors.status))
end
