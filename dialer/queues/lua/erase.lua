-- Forget the number of a person who is erased, and tell all nodes to look who is: from now on none calls it, since each
-- reads the keyed hashes anew before it judges what it has reserved. owner, inbox seen (both ''), results kept for (ms),
-- digits...
-- Answers how many contacts were forgotten.

keep_ms = tonumber(ARGV[3])
if call('HEXISTS', K.gate, 'generation') == 0 then return not_ready('the record has not been loaded') end
call('HINCRBY', K.gate, 'suppressions', 1)
-- What a node is told of its calls was written now.
local time = call('TIME')
written_ms = format('%.0f', tonumber(time[1]) * 1000 + floor(tonumber(time[2]) / 1000))
local campaigns, forgotten = call('SMEMBERS', K.campaigns), 0
for i = 4, #ARGV do
  local digits = ARGV[i]
  for line in string.gmatch(call('HGET', K.phones, digits) or '', '[^\n]+') do
    local campaign, contact = match(line, '^([^\t]*)\t(.*)$')
    local record = call('HGET', K.data .. campaign, contact)
    if record then
      local _, live = live_call_of(campaign, contact, record)
      forget(campaign, contact, record, live)
      forgotten = forgotten + 1
    end
    call('SREM', K.finished .. campaign, contact)
    call('SREM', K.removed .. campaign, 'c' .. contact)
    call('SREM', K.removed .. '*', 'c' .. contact)
  end
  local live = live_at(digits)
  if live then
    local id, owner = match(live, LIVE)
    tell(id, owner, 'removal', '', 'erased')
  end
  for _, scope in ipairs({'*', unpack(campaigns)}) do
    call('SREM', K.removed .. scope, 'p' .. digits)
    dnc_remove(scope, digits)
  end
  -- Lists of accounts have the number beside the account.
  local shard, cursor = K.dnc_set .. 'account::' .. sub(digits, 1, -6), '0'
  repeat
    local page = call('SSCAN', shard, cursor, 'MATCH', sub(digits, -5) .. '\t*')
    cursor = page[1]
    for _, member in ipairs(page[2]) do dnc_remove(ACCOUNT .. sub(member, 7), digits) end
  until cursor == '0'
  local key, field = by_number(digits)
  call('HDEL', key, field)
end
return forgotten
