-- Attempt caps: ledgers of calls, and what the rules say of them. In front of the scripts that reserve, end and load calls.
--
-- A ledger belongs to one name under one list of key parts (n: the number; p, a, s, c, e: person, account, subject,
-- campaign, seller). Its entries have eight bytes, as in dialer/compliance/ledger.py: second of the start, seconds until the
-- end, facts. It is a field of a hash of about a hundred, which costs little more than its bytes.
--
-- Ledgers have calls that have ended. A call of a number that is under way stands in `live`, and there is no other. Those of
-- all other ledgers stand in `caps_live` under the ledger's name, from the reservation on, by the second of it: one hash, in
-- which a whole batch is entered by one command.

local UNDER_WAY = 4096
local band, unpack_entry, pack_entry = bit.band, struct.unpack, struct.pack
local ceil = math.ceil

-- Key and field of the ledger of a number, or of one by its name (<parts>:<20 hexadecimal digits>).
local function by_number(digits) return K.caps .. 'n:' .. sub(digits, 1, -3), sub(digits, -2) end
local function by_name(name)
  local colon = find(name, ':', 1, true)
  return K.caps .. sub(name, 1, colon + 5), sub(name, colon + 6)
end

-- By which rules ledgers are kept: parts -> lines of any of, none of, maximum (0: a rest), seconds (-1: for good).
local function kept_rules()
  local all, out = call('HGETALL', K.caps_rules), {}
  for i = 1, #all, 2 do out[all[i]] = all[i + 1] end
  return out
end

-- Two of these together, `known` perhaps nil.
local function both_rules(known, block)
  if not known then return block end
  for line in string.gmatch(block, '[^\n]+') do
    if not find(known, '\n' .. line .. '\n', 1, true) then known = known .. line .. '\n' end
  end
  return known
end

-- How long after its end an entry may count; -1: for good.
local function keep_of(block)
  local keep = 0
  for seconds in string.gmatch(block, ' (%-?%d+)\n') do
    seconds = tonumber(seconds)
    if seconds < 0 then return -1 end
    if seconds > keep then keep = seconds end
  end
  return keep
end

local function entries_of(packed)
  local out = {}
  for p = 1, #packed, 8 do
    local at, lasted, facts = unpack_entry('>I4I2I2', packed, p)
    out[#out + 1] = {at, lasted, facts, sub(packed, p, p + 7)}
  end
  return out
end

local function earlier(a, b)
  if a[1] ~= b[1] then return a[1] < b[1] end
  if a[2] ~= b[2] then return a[2] < b[2] end
  return a[3] < b[3]
end

-- Forgets what no rule can ask about any more, as Ledger.prune does.
local function pruned(entries, block, now)
  local rules, worst = {}, 0
  for any, none, maximum, keep in string.gmatch(block, '(%d+) (%d+) (%d+) (%-?%d+)\n') do
    maximum = tonumber(maximum)
    rules[#rules + 1] = {tonumber(any), tonumber(none), maximum, tonumber(keep)}
    worst = worst + (maximum == 0 and 1 or maximum)
  end
  if #entries <= worst or #rules == 0 then return entries end
  table.sort(entries, earlier)
  local kept = {}
  for _, rule in ipairs(rules) do
    local any, none, left, keep = rule[1], rule[2], rule[3], rule[4]
    local rest, latest = left == 0, nil
    for i = #entries, 1, -1 do
      local at, lasted, facts = entries[i][1], entries[i][2], entries[i][3]
      -- One under way may turn out not to count: it must not push out one that does.
      if band(facts, any) ~= 0 and band(facts, none) == 0 and band(facts, UNDER_WAY) == 0 then
        if rest then
          if not latest or at + lasted > entries[latest][1] + entries[latest][2] then latest = i end
        elseif left > 0 then
          left = left - 1
          if keep < 0 or now < at + lasted + keep then kept[i] = true end
        end
      end
    end
    if latest and (keep < 0 or now < entries[latest][1] + entries[latest][2] + keep) then kept[latest] = true end
  end
  local out = {}
  for i, entry in ipairs(entries) do
    if kept[i] or band(entry[3], UNDER_WAY) ~= 0 then out[#out + 1] = entry end
  end
  return out
end

-- Writes a ledger, and how long its hash is kept from now on: nothing in it counts longer than that. A day more than
-- needed: it must not go while a call that it knows of is under way. All ledgers of a hash are kept equally long.
local function write_ledger(key, field, packed, keep)
  if packed == '' then
    call('HDEL', key, field)
    return
  end
  call('HSET', key, field, packed)
  if keep < 0 then
    call('PERSIST', key)
  else
    call('PEXPIRE', key, format('%.0f', (keep + 86400) * 1000))
  end
end

-- How a call under way stands in its ledgers, by the moment of its reservation.
local function under_way(reserved) return pack_entry('>I4I2I2', ceil(tonumber(reserved)), 0, UNDER_WAY) end

-- Enters a call that has ended.
local function settle(key, field, block, entry, now)
  local entries = entries_of(call('HGET', key, field) or '')
  local at, lasted, facts = unpack_entry('>I4I2I2', entry)
  entries[#entries + 1] = {at, lasted, facts, entry}
  local out = {}
  for i, one in ipairs(pruned(entries, block, now)) do out[i] = one[4] end
  write_ledger(key, field, concat(out), keep_of(block))
end

-- A call is under way no more, in all ledgers that it stands in, by their names with commas.
local function leave_ledgers(names, reserved)
  if names == '' or reserved == '' then return end
  local mine = under_way(reserved)
  for name in string.gmatch(names, '[^,]+') do
    local all = call('HGET', K.caps_live, name)
    if all == mine then
      call('HDEL', K.caps_live, name)
    elseif all then
      for p = 1, #all, 8 do
        if sub(all, p, p + 7) == mine then
          call('HSET', K.caps_live, name, sub(all, 1, p - 1) .. sub(all, p + 8))
          break
        end
      end
    end
  end
end

-- Enters a call that has ended in the same ledgers.
local function settle_all(names, rules, entry, now)
  for name in string.gmatch(names, '[^,]+') do
    local key, field = by_name(name)
    settle(key, field, rules[match(name, '^%a+')] or '', entry, now)
  end
end
