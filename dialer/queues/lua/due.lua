-- Contacts that may be called now with an agent reserved, the oldest promise first. campaign, now, at most.
-- Answers {contact, entry of `promised`, ...}.

local campaign = ARGV[1]
local gate = call('HMGET', K.gate, 'generation', 'filter:' .. campaign)
if not gate[1] then return not_ready('the record has not been loaded') end
promote(campaign, ARGV[2], gate[2])
local ids = call('ZRANGEBYSCORE', K.reserved .. campaign, '-inf', ARGV[2], 'LIMIT', 0, ARGV[3])
local out = {}
if #ids > 0 then
  for i, entry in ipairs(call('HMGET', K.promised .. campaign, unpack(ids))) do
    if entry then
      out[#out + 1] = ids[i]
      out[#out + 1] = entry
    end
  end
end
return out
