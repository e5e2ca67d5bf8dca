-- Posts one body again and again: wrk ... URL -- BODY [HEADER VALUE]...; prints its figures as one line of JSON.
function init(arguments)
   local file = assert(io.open(arguments[1], "rb"))
   wrk.method, wrk.body = "POST", file:read("*a")
   file:close()
   for i = 2, #arguments - 1, 2 do
      wrk.headers[arguments[i]] = arguments[i + 1]
   end
   message = wrk.format()
end

function request()
   return message
end

function done(summary, latency)
   local errors = summary.errors
   print(string.format(
      '\n{"count": %d, "seconds": %.6f, "p50": %.4f, "p95": %.4f, "p99": %.4f, "refused": %d, "broken": %d}',
      summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(95) / 1e3,
      latency:percentile(99) / 1e3, errors.status, errors.connect + errors.read + errors.write + errors.timeout))
end
