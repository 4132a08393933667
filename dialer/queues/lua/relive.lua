-- A node tells a Redis that has lost its memory which calls are under way. owner, then for each:
-- call, token, attempt, state, reserved, started, answered, connected, server, agent, campaign, digits, contact.

local owner = ARGV[1]
for i = 2, #ARGV, 13 do
  local id, campaign, digits, contact = ARGV[i], ARGV[i + 10], ARGV[i + 11], ARGV[i + 12]
  if call('HEXISTS', K.live, id) == 0 and call('SISMEMBER', K.ended, id) == 0 then
    local f = {owner}
    for k = 1, 12 do f[k + 1] = ARGV[i + k] end
    call('HSET', K.live, id, concat(f, '\t'))
    call('HSETNX', K.live_contacts, campaign .. '\t' .. contact, id)
    call('HSETNX', K.live_numbers, digits, id)
    call('HINCRBY', K.live_count, campaign, 1)
    call('ZREM', K.ready .. campaign, contact)
    call('ZREM', K.later .. campaign, contact)
  end
end
return 1
