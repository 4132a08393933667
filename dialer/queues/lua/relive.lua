-- A node tells a Redis that has lost its memory which calls are under way. owner, then for each:
-- call, token, attempt, state, reserved, started, answered, connected, server, agent, campaign, digits, contact, ledgers.

local owner = ARGV[1]
for i = 2, #ARGV, 14 do
  local id, campaign, digits, contact = ARGV[i], ARGV[i + 10], ARGV[i + 11], ARGV[i + 12]
  if not live_call(id, digits, ARGV[i + 1]) and call('SISMEMBER', K.ended, id) == 0 then
    local f = {id, owner}
    for k = 1, 13 do f[k + 2] = ARGV[i + k] end
    local field = call('HEXISTS', K.live, digits) == 0 and digits or digits .. '#' .. id
    call('HSET', K.live, field, concat(f, '\t'))
    call('HSETNX', K.live_contacts, campaign .. '\t' .. contact, field)
    call('HINCRBY', K.live_count, campaign, 1)
    for name in string.gmatch(ARGV[i + 13], '[^,]+') do
      call('HSET', K.caps_live, name, (call('HGET', K.caps_live, name) or '') .. under_way(ARGV[i + 4]))
    end
    call('ZREM', K.ready .. campaign, contact)
    call('ZREM', K.later .. campaign, contact)
    call('ZREM', K.reserved .. campaign, contact)
  end
end
return 1
