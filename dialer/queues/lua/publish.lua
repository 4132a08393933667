-- Put a result on the stream for the CRM, and trim what is too old. Results kept for (ms), JSON.
-- Writes to a server that has lost its memory, too: a result is news of its own.

local oldest = tonumber(call('TIME')[1]) * 1000 - tonumber(ARGV[1])
return call('XADD', K.results, 'MINID', '~', format('%.0f', oldest > 0 and oldest or 0), '*', 'data', ARGV[2])
