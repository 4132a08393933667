-- Calls that a Redis whose memory was set back takes for under way, and whose node knows that they are over.
-- owner, "drop" or "look", beginnings of the ids of calls that this process has made, by lines, then every call that it has
-- under way or in doubt. Answers how many there were.

local owner, drop = ARGV[1], ARGV[2] == 'drop'
local made, known = {}, {}
for _, beginning in ipairs(split(ARGV[3], '[^\n]+')) do made[beginning] = true end
for i = 4, #ARGV do known[ARGV[i]] = true end
local all, n = call('HGETALL', K.live), 0
for i = 1, #all, 2 do
  local id, its_owner, _, _, _, reserved, _, _, _, _, _, campaign, _, contact, ledgers =
    match(live_record(all[i], all[i + 1]), LIVE)
  if its_owner == owner and made[match(id, '^.*-') or ''] and not known[id] then
    n = n + 1
    if drop then
      unlive(all[i], all[i + 1], campaign, contact)
      leave_ledgers(ledgers, reserved)
      call('HDEL', K.live_purged, id)
    end
  end
end
return n
