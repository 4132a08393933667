-- Count something of a person that the gate has not seen itself: a call that was made elsewhere, or that they do not want
-- to be called. digits, campaign, person, account, subject, seller, "call" or "refusal", start, seconds, facts, now.
-- It is entered wherever any rule counts that the server was ever told of; the same twice is once.

local digits, what, now = ARGV[1], ARGV[7], tonumber(ARGV[11])
local at, lasted, facts = tonumber(ARGV[8]), tonumber(ARGV[9]), tonumber(ARGV[10])
local REFUSED = 16384
if call('HEXISTS', K.gate, 'generation') == 0 then return not_ready('the record has not been loaded') end
local number = '+' .. digits
local part = {
  n = number, p = ARGV[3] ~= '' and ARGV[3] or number, a = ARGV[4] ~= '' and ARGV[4] or ARGV[2],
  s = ARGV[5] ~= '' and ARGV[5] or ARGV[2], c = ARGV[2], e = ARGV[6],
}
for parts, block in pairs(kept_rules()) do
  local key, field
  if parts == 'n' then
    key, field = by_number(digits)
  else
    local text = ''
    for k = 1, #parts do
      local name = part[sub(parts, k, k)]
      text = text .. #name .. ':' .. name
    end
    key, field = by_name(parts .. ':' .. sub(redis.sha1hex(text), 1, 20))
  end
  local entries, known = entries_of(call('HGET', key, field) or ''), false
  for i, one in ipairs(entries) do
    if what == 'call' then
      known = known or (one[1] == at and one[2] == lasted and band(one[3], facts) == facts)
    elseif one[1] == at and band(one[3], UNDER_WAY) == 0 and not known then
      known = true
      local both = bit.bor(one[3], REFUSED)
      entries[i] = {one[1], one[2], both, pack_entry('>I4I2I2', one[1], one[2], both)}
    end
  end
  if not known then entries[#entries + 1] = {at, lasted, facts, pack_entry('>I4I2I2', at, lasted, facts)} end
  local out = {}
  for i, one in ipairs(pruned(entries, block, now)) do out[i] = one[4] end
  write_ledger(key, field, concat(out), keep_of(block))
end
return 1
