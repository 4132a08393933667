-- Give reserved contacts back as they were. owner, results kept for (ms), then for each: call, its digits or '', token or
-- '' (any of ours), not before or '', campaign and contact or ''. Answers how many were given back.

local owner = ARGV[1]
keep_ms = tonumber(ARGV[2])
if call('HEXISTS', K.gate, 'generation') == 0 then return not_ready('the record has not been loaded') end
local n = 0
for i = 3, #ARGV, 6 do
  local id, token, not_before, campaign, contact = ARGV[i], ARGV[i + 2], ARGV[i + 3], ARGV[i + 4], ARGV[i + 5]
  local live, field, entry = live_call(id, ARGV[i + 1], token)
  local ours = live and live == token
  if live and not ours then
    local _, its_owner, its_token, _, state, _, _, _, _, _, _, its_campaign, _, its_contact = match(live, LIVE)
    ours = state == 'reserved' and (token == its_token or (token == '' and its_owner == owner))
    campaign, contact = its_campaign, its_contact
  end
  if ours then
    n = n + 1
    unlive(field, entry, campaign, contact)
    local record = call('HGET', K.data .. campaign, contact)
    if record then
      if not_before ~= '' then
        call('ZADD', K.later .. campaign, not_before, contact)
      else
        call('ZADD', K.ready .. campaign, match(record, SCORE), contact)
      end
    end
    -- A removal came while it was reserved; there is no call to report on, so it is answered here.
    local told = call('HGET', K.live_purged, id)
    if told then
      call('HDEL', K.live_purged, id)
      for line in string.gmatch(told, '[^\n]+') do
        local entry = cjson.decode(line)
        if entry.kind == 'removal' then
          publish({type = 'removal.applied', campaign = campaign, contact = contact, ref = entry.ref, reason = entry.reason})
        end
      end
    end
  end
end
return n
