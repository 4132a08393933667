-- Give a list another priority, step by step. campaign, list, priority, cursor ('0': the first step), contacts looked at.
-- From the first step on, whoever comes to wait stands by it; with the last all do who wait already. Answers the cursor of
-- the next step, '0' after the last one or where it is the list's priority already.

if call('HEXISTS', K.gate, 'generation') == 0 then return not_ready('the record has not been loaded') end
local campaign, list, priority = ARGV[1], ARGV[2], ARGV[3]
local key = K.list_priorities .. campaign
local known = call('HGET', key, list) or '0'
if known == priority then return '0' end
if ARGV[4] == '0' then
  call('HSET', key, list, priority .. '?')
elseif known ~= priority .. '?' then
  -- Somebody else has begun to give it yet another one, and goes on with that.
  return '0'
end
local priorities = priorities_of(campaign)
local found = call('HSCAN', K.data .. campaign, ARGV[4], 'COUNT', ARGV[5])
for i = 1, #found[2], 2 do
  if list_of(found[2][i + 1]) == list then
    call('ZADD', K.ready .. campaign, 'XX', rank_of(found[2][i + 1], priorities), found[2][i])
  end
end
if found[1] == '0' then
  if priority == '0' then call('HDEL', key, list) else call('HSET', key, list, priority) end
end
return found[1]
