-- Note how far a call has come; never backwards. call, state, at, server or '', agent or '', digits or ''.

local ORDER = {reserved = 0, dialing = 1, answered = 2, talking = 3}
local live, its = live_call(ARGV[1], ARGV[6])
if not live then return 0 end
local f = {match(live, LIVE)}
local state, at = ARGV[2], ARGV[3]
if ORDER[state] > ORDER[f[5]] then f[5] = state end
local field = ORDER[state] + 6
if field > 6 and f[field] == '' then f[field] = at end
if ARGV[4] ~= '' then f[10] = ARGV[4] end
if ARGV[5] ~= '' then f[11] = ARGV[5] end
call('HSET', K.live, its, concat(f, '\t'))
return 1
