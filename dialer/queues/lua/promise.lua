-- A contact is to be called with an agent reserved; an offer of the contact follows. "agreed" or "load", campaign, then for
-- each: contact, at, agent or '', when it becomes anybody's, until when it is tried again. A removal is final; what is
-- agreed opens a contact again that is done, what is loaded does not. Answers how many attempts have been made at the last
-- of them, as far as that is known here.

local agreed, campaign, made = ARGV[1] == 'agreed', ARGV[2], 0
if agreed and call('HEXISTS', K.gate, 'generation') == 0 then return not_ready('the record has not been loaded') end
call('SADD', K.campaigns, campaign)
for i = 3, #ARGV, 5 do
  local contact = ARGV[i]
  local gone = call('SISMEMBER', K.removed .. campaign, 'c' .. contact) == 1
    or call('SISMEMBER', K.removed .. '*', 'c' .. contact) == 1
    or (not agreed and call('SISMEMBER', K.finished .. campaign, contact) == 1)
  if not gone then
    made = tonumber(call('GET', K.made .. campaign .. '\t' .. contact) or 0)
    call('SREM', K.finished .. campaign, contact)
    local record = call('HGET', K.data .. campaign, contact)
    local live = live_call_of(campaign, contact, record)
    local entry = {agreed and live and '1' or '0', ARGV[i + 1], ARGV[i + 2], ARGV[i + 3], ARGV[i + 4]}
    call('HSET', K.promised .. campaign, contact, concat(entry, '\t'))
    if record and not live then
      call('ZREM', K.ready .. campaign, contact)
      call('ZREM', K.reserved .. campaign, contact)
      call('ZADD', K.later .. campaign, ARGV[i + 1], contact)
    end
  end
end
return made
