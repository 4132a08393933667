-- Give reserved contacts back as they were. owner, results kept for (ms), then for each: call, its digits or '', token or
-- '' (any of ours), not before or '', campaign and contact or '', whether it is in ledgers (1 or ''), and of a refusal that
-- goes on record the moment and its JSON without that, or '', and numbers of the contact that are not called before a
-- moment, as digits:moment by commas or ''. Answers how many were given back.

local owner = ARGV[1]
keep_ms = tonumber(ARGV[2])
if call('HEXISTS', K.gate, 'generation') == 0 then return not_ready('the record has not been loaded') end
local n = 0
for i = 3, #ARGV, 10 do
  local id, token, not_before, campaign, contact = ARGV[i], ARGV[i + 2], ARGV[i + 3], ARGV[i + 4], ARGV[i + 5]
  local live, field, entry = live_call(id, ARGV[i + 1], token)
  local ours = live and live == token
  if ours and ARGV[i + 6] ~= '' then live = live_record(field, entry) end
  local reserved, ledgers
  if live and live ~= token then
    local _, its_owner, its_token, _, state, its_reserved, _, _, _, _, _, its_campaign, _, its_contact, its = match(live, LIVE)
    ours = state == 'reserved' and (token == its_token or (token == '' and its_owner == owner))
    campaign, contact, reserved, ledgers = its_campaign, its_contact, its_reserved, its
  end
  if ours then
    n = n + 1
    unlive(field, entry, campaign, contact)
    if ledgers then leave_ledgers(ledgers, reserved) end
    if ARGV[i + 8] ~= '' then record_refusal(ARGV[i + 7], ARGV[i + 8]) end
    local record = call('HGET', K.data .. campaign, contact)
    if record and ARGV[i + 9] ~= '' then
      local _, attempts, expires, index, score, phones, begins, payload = match(record, HEAD)
      local numbers = numbers_of(call('HGET', K.numbers .. campaign, contact))
      for digits, till in string.gmatch(ARGV[i + 9], '(%d+):([%d.]+)') do
        numbers[digits] = {numbers[digits] and numbers[digits][1] or 0, till}
      end
      if keep_numbers(campaign, contact, numbers, phones) then
        -- Another number's turn, which may be on a list: the gate has to ask.
        expires = marked(sub(expires, 1, 1) == '!' and expires or '!' .. expires)
        record = head(attempts, expires, index, score, phones, begins, sub(record, payload))
        call('HSET', K.data .. campaign, contact, record)
      end
    end
    if record then put_back(campaign, contact, record, not_before) end
    answer_removals(id, campaign, contact)
  end
end
return n
