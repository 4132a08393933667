-- A number that was reserved must not be called: the contact goes on without it. owner, results kept for (ms), call, digits,
-- token, campaign, contact, whether it is in ledgers (1 or ''), reason, moment of the refusal, and its JSON without that.
-- Answers 1, or 0 where the call has been dialed, given back or taken over.

keep_ms = tonumber(ARGV[2])
local id, digits, token, campaign, contact, reason = ARGV[3], ARGV[4], ARGV[5], ARGV[6], ARGV[7], ARGV[9]
if call('HEXISTS', K.gate, 'generation') == 0 then return not_ready('the record has not been loaded') end
local live, field, entry = live_call(id, digits, token)
if not live then return 0 end
if live == token and ARGV[8] ~= '' then live = live_record(field, entry) end
local reserved, ledgers = '', ''
if live ~= token then
  local _, _, its_token, _, state, its_reserved, _, _, _, _, _, _, _, _, its = match(live, LIVE)
  if state ~= 'reserved' or its_token ~= token then return 0 end
  reserved, ledgers = its_reserved, its
end
unlive(field, entry, campaign, contact)
leave_ledgers(ledgers, reserved)
record_refusal(ARGV[10], ARGV[11])

local record = call('HGET', K.data .. campaign, contact)
if record then
  local _, attempts, expires, index, score, phones, not_before, payload = match(record, HEAD)
  local left, place = {}, nil
  for i, phone in ipairs(phones_of(phones)) do
    if phone == digits then place = i - 1 else left[#left + 1] = phone end
  end
  if #left == 0 then
    forget(campaign, contact, record)
    publish({type = 'contact.rejected', campaign = campaign, contact = contact, phone = '+' .. digits, reason = reason})
  else
    if place then
      unindex(campaign, contact, {digits})
      -- Whoever came behind it stands in its place; that number may be on a list: the gate has to ask.
      if sub(expires, 1, 1) ~= '!' then expires = '!' .. expires end
      record = head(attempts, expires, place % #left, score, concat(left, ','), not_before) .. sub(record, payload)
      call('HSET', K.data .. campaign, contact, record)
    end
    put_back(campaign, contact, record, '')
  end
end
answer_removals(id, campaign, contact)
return 1
