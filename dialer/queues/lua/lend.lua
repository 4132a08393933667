-- A contact that is done, or was never to be called by the campaign itself, is made known for one call by name; with that
-- call, or the refusal of it, it is done again. campaign, contact, attempts made, phones by commas, the CRM's data, expiry.
-- Answers L(ent), W(aiting or being called already), R(emoved).

local campaign, contact = ARGV[1], ARGV[2]
if call('HEXISTS', K.gate, 'generation') == 0 then return not_ready('the record has not been loaded') end
for _, scope in ipairs({campaign, '*'}) do
  if call('SISMEMBER', K.removed .. scope, 'c' .. contact) == 1 then return 'R' end
  for _, digits in ipairs(phones_of(ARGV[4])) do
    if call('SISMEMBER', K.removed .. scope, 'p' .. digits) == 1 then return 'R' end
  end
end
local record = call('HGET', K.data .. campaign, contact)
if live_call_of(campaign, contact, record) then return 'W' end
if record and call('SISMEMBER', K.finished .. campaign, contact) == 0 then return 'W' end
call('SADD', K.campaigns, campaign)
call('SADD', K.finished .. campaign, contact)
-- Its numbers are in no index, which would mark those that come on a list: the gate asks about each.
local made = math.max(tonumber(ARGV[3]), tonumber(call('GET', K.made .. campaign .. '\t' .. contact) or 0))
call('HSET', K.data .. campaign, contact, head(made, '!' .. ARGV[6], 0, 0, ARGV[4], '', ARGV[5]))
return 'L'
