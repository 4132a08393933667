-- Drain what the CRM has said, and tell the owner what concerns its calls.
-- owner, inbox seen, results kept for (ms), drain at most. Answers {more to drain?, inbox, effects}.

keep_ms = tonumber(ARGV[3])
local gate = call('HMGET', K.gate, 'generation', 'removals', 'dnc')
if not gate[1] then return not_ready('the record has not been loaded') end
local more = drain(ARGV[4], gate[2], gate[3])
return {more and 1 or 0, inbox(ARGV[1], ARGV[2]), effects}
