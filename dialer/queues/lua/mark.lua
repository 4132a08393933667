-- Note how far a call has come; never backwards. call, state, at, server or '', agent or ''.

local ORDER = {reserved = 0, dialing = 1, answered = 2, talking = 3}
local live = call('HGET', K.live, ARGV[1])
if not live then return 0 end
local f = {match(live, LIVE)}
local state, at = ARGV[2], ARGV[3]
if ORDER[state] > ORDER[f[4]] then f[4] = state end
local field = ORDER[state] + 5
if field > 5 and f[field] == '' then f[field] = at end
if ARGV[4] ~= '' then f[9] = ARGV[4] end
if ARGV[5] ~= '' then f[10] = ARGV[5] end
call('HSET', K.live, ARGV[1], concat(f, '\t'))
return 1
