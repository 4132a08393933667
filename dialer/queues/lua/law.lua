-- What the caps of a request say of a number. In front of gate.lua; dialer/queues/cap_law.py makes the law.

local huge = math.huge

-- The law: seller, and for each list of key parts: by which rules its ledgers are kept, and the rows that apply.
-- Remembers what rules there are, so that every call is entered where any of them counts. Answers the rows by number with
-- what they need at least to forbid anything (so many calls, or such facts), and all other ledgers.
local function read_law(packed)
  local seller, ledgers = unpack(cmsgpack.unpack(packed), 1, 2)
  local kept, rows, others = kept_rules(), {}, {}
  for _, ledger in ipairs(ledgers) do
    local parts, block = ledger[1], ledger[2]
    local known = kept[parts]
    rows[parts] = #ledger[3] > 0 and ledger[3] or nil
    if known ~= block then
      local both = both_rules(known, block)
      if both ~= known then
        call('HSET', K.caps_rules, parts, both)
        kept[parts] = both
      end
    end
  end
  for parts, block in pairs(kept) do
    if parts ~= 'n' then others[#others + 1] = {parts = parts, keep = keep_of(block), rows = rows[parts]} end
  end
  local law = {seller = seller, by_number = rows.n, others = #others > 0 and others, least = huge, rest_after = 0}
  for _, row in ipairs(rows.n or {}) do
    if row[1] == 'rest' then
      law.rest_after = bit.bor(law.rest_after, row[2])
    elseif row[4] < law.least then
      law.least = row[4]
    end
  end
  return law
end

-- What the rows of one ledger forbid, added to what others do: until when, by which kind of rule, and all of them.
local function judge(rows, packed, now, found)
  local entries = entries_of(packed)
  for _, row in ipairs(rows) do
    local kind, any, none, maximum, length = row[1], row[2], row[3], row[4], row[5]
    local ats, n, till, latest = {}, 0, nil, 0
    for _, entry in ipairs(entries) do
      local at, facts = entry[1], entry[3]
      if band(facts, any) ~= 0 and band(facts, none) == 0 then
        if kind == 'rest' then
          n = n + 1
          if at + entry[2] > latest then latest = at + entry[2] end
        elseif kind == 'ever' or (kind == 'rolling' and now < at + length) or (kind == 'days' and at >= row[7][1]) then
          n = n + 1
          ats[n] = at
        end
      end
    end
    if kind == 'rest' then
      if n > 0 and now < latest + length then till = latest + length end
    elseif n >= maximum then
      table.sort(ats)
      local last = ats[n - maximum + 1]
      if kind == 'rolling' then
        till = last + length
      elseif kind == 'ever' then
        till = huge
      else
        local starts, day = row[7], 1
        while starts[day + 1] and last >= starts[day + 1] do day = day + 1 end
        till = row[8][day]
      end
    end
    if till then
      found = found or {till = -1, rules = {}}
      local says = {rule = row[6], count = n}
      if till < huge then says['until'] = till end
      found.rules[#found.rules + 1] = says
      if till > found.till then
        found.till, found.why = till, kind == 'rest' and 'cooldown' or 'attempt_cap'
      end
    end
  end
  return found
end

-- Whether the rows by number may forbid what a ledger has: most ledgers are read no further.
local function may_forbid(law, packed)
  if #packed >= law.least * 8 then return true end
  if law.rest_after ~= 0 then
    for p = 7, #packed, 8 do
      if band(unpack_entry('>I2', packed, p), law.rest_after) ~= 0 then return true end
    end
  end
  return false
end

-- A name that the CRM gave: a text, or a whole number; nil where there is none.
local function name_of(value)
  if type(value) == 'string' and value ~= '' then return value end
  if type(value) == 'number' and value == floor(value) and value > -9007199254740992 and value < 9007199254740992 then
    return value == 0 and '0' or format('%.0f', value)
  end
  return nil
end

local function names_in(record, at)
  local ok, data = pcall(cjson.decode, sub(record, at))
  local fields = ok and type(data) == 'table' and data.fields
  return type(fields) == 'table' and fields or {}
end

-- The names of the other ledgers of a contact, see cap_law.ledger_name, and what is in them.
local function ledgers_of(law, campaign, digits, record)
  local _, _, _, _, _, _, _, at = match(record, HEAD)
  local said = {}
  if find(record, '"person"', at, true) or find(record, '"account"', at, true) or find(record, '"subject"', at, true) then
    said = names_in(record, at)
  end
  local number = '+' .. digits
  local part = {
    n = number, p = name_of(said.person) or number, a = name_of(said.account) or campaign,
    s = name_of(said.subject) or campaign, c = campaign, e = law.seller,
  }
  local out = {}
  for i, ledger in ipairs(law.others) do
    local parts, text = ledger.parts, ''
    for k = 1, #parts do
      local name = part[sub(parts, k, k)]
      text = text .. #name .. ':' .. name
    end
    local name = parts .. ':' .. sub(redis.sha1hex(text), 1, 20)
    local key, field = by_name(name)
    out[i] = {name, key, field, call('HGET', key, field)}
  end
  return out
end

-- What the law forbids of a number of a contact (nil: nothing), and its other ledgers.
local function law_says(law, campaign, digits, record, now)
  local found, others
  if law.by_number then
    local packed = call('HGET', by_number(digits))
    if packed and may_forbid(law, packed) then found = judge(law.by_number, packed, now, nil) end
  end
  if law.others then
    others = ledgers_of(law, campaign, digits, record)
    for i, ledger in ipairs(others) do
      local rows = law.others[i].rows
      if rows and ledger[4] then found = judge(rows, ledger[4], now, found) end
    end
  end
  if found then found.digits = digits end
  return found, others
end

-- Enters a call that is reserved now into the other ledgers; answers their names.
local function enter(law, ledgers, now)
  local entry, names = pack_entry('>I4I2I2', ceil(now), 0, UNDER_WAY), {}
  for i, ledger in ipairs(ledgers) do
    names[i] = ledger[1]
    write_ledger(ledger[2], ledger[3], (ledger[4] or '') .. entry, law.others[i].keep)
  end
  return concat(names, ',')
end
