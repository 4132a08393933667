-- Note how far a call has come; never backwards. call, state, at, server or '', agent or '', digits or ''; with digits:
-- token, owner, attempt, reserved at, campaign, contact, ledgers, which make its record where it has none of its own yet.

local ORDER = {reserved = 0, dialing = 1, answered = 2, talking = 3}
local id, state, at, digits, token = ARGV[1], ARGV[2], ARGV[3], ARGV[6], ARGV[7]
local live, its, entry = live_call(id, digits, token)
if not live then return 0 end
local f
if live == token then
  f = {id, ARGV[8], token, ARGV[9], 'reserved', ARGV[10], '', '', '', '', '', ARGV[11], digits, ARGV[12], ARGV[13]}
else
  f = {match(live, LIVE)}
end
if ORDER[state] > ORDER[f[5]] then f[5] = state end
local field = ORDER[state] + 6
if field > 6 and f[field] == '' then f[field] = at end
if ARGV[4] ~= '' then f[10] = ARGV[4] end
if ARGV[5] ~= '' then f[11] = ARGV[5] end
call('HSET', K.live, its, concat(f, '\t'))
leave_batch(entry)
return 1
