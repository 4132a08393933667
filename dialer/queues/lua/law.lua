-- What the caps of a request say of a number. In front of gate.lua; dialer/queues/cap_law.py makes the law.

local huge, sha1hex = math.huge, redis.sha1hex

-- A ledger's rows, and what they need at least to forbid anything: so many calls, or such facts.
local function with_rows(ledger, rows)
  ledger.rows, ledger.least, ledger.rest_after = rows, huge, 0
  for _, row in ipairs(rows or {}) do
    if row[1] == 'rest' then
      ledger.rest_after = bit.bor(ledger.rest_after, row[2])
    elseif row[4] < ledger.least then
      ledger.least = row[4]
    end
  end
  return ledger
end

-- The law: seller, and for each list of key parts: by which rules its ledgers are kept, and the rows that apply.
-- Remembers what rules there are, so that every call is entered where any of them counts. Answers the ledger of the number
-- where any row is about it, and all others, with or without rows.
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
    if parts ~= 'n' then others[#others + 1] = with_rows({parts = parts}, rows[parts]) end
  end
  return {seller = seller, by_number = rows.n and with_rows({}, rows.n), others = #others > 0 and others}
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

-- Whether its rows may forbid what a ledger has: most ledgers are read no further.
local function may_forbid(ledger, packed)
  if #packed >= ledger.least * 8 then return true end
  if ledger.rest_after ~= 0 then
    for p = 7, #packed, 8 do
      if band(unpack_entry('>I2', packed, p), ledger.rest_after) ~= 0 then return true end
    end
  end
  return false
end

-- Who a contact is, as wire.Payload begins where the CRM has said so: person, account, subject.
local WHO = '^{"who":%["([^"\\]*)","([^"\\]*)","([^"\\]*)"%]'

-- The names of the other ledgers of a contact, see cap_law.ledger_name.
local function ledger_names(law, campaign, digits, record)
  local at = find(record, '\n', 1, true) + 1
  local person, account, subject = match(record, WHO, at)
  if not person and find(record, '"who":', at, true) then
    -- With characters that JSON writes in another way.
    local ok, data = pcall(cjson.decode, sub(record, at))
    if ok and type(data) == 'table' and type(data.who) == 'table' then person, account, subject = unpack(data.who, 1, 3) end
  end
  if not person or person == '' then person = '+' .. digits end
  local names, part, others = {}, nil, law.others
  for i = 1, #others do
    local parts, text = others[i].parts, ''
    if parts == 'p' then
      -- Most laws count by person, if by anything but the number.
      text = #person .. ':' .. person
    else
      part = part or {
        n = '+' .. digits, p = person, a = account and account ~= '' and account or campaign,
        s = subject and subject ~= '' and subject or campaign, c = campaign, e = law.seller,
      }
      for k = 1, #parts do
        local name = part[sub(parts, k, k)]
        text = text .. #name .. ':' .. name
      end
    end
    names[i] = parts .. ':' .. sub(sha1hex(text), 1, 20)
  end
  return names
end

-- What the law forbids of a number of a contact (nil: nothing), and the names of its other ledgers.
local function law_says(law, campaign, digits, record, now)
  local found, names
  if law.by_number then
    local packed = call('HGET', by_number(digits))
    if packed and may_forbid(law.by_number, packed) then found = judge(law.by_number.rows, packed, now, nil) end
  end
  if law.others then
    names = ledger_names(law, campaign, digits, record)
    for i, ledger in ipairs(law.others) do
      if ledger.rows then
        local packed = (call('HGET', by_name(names[i])) or '') .. (call('HGET', K.caps_live, names[i]) or '')
        if may_forbid(ledger, packed) then found = judge(ledger.rows, packed, now, found) end
      end
    end
  end
  if found then found.digits = digits end
  return found, names
end

-- Enters a call that is reserved now into the other ledgers; answers their names by commas.
local function enter(names, now)
  local mine = under_way(now)
  for _, name in ipairs(names) do
    call('HSET', K.caps_live, name, (call('HGET', K.caps_live, name) or '') .. mine)
  end
  return concat(names, ',')
end

-- As law_says and enter do for each, for all contacts of a batch at once; nil, and nothing is entered, where the law forbids
-- any of them. Answers the names of the other ledgers of each by commas; none have any where there are no such ledgers.
local function enter_all(law, campaign, numbers, records, now)
  if law.by_number then
    for _, digits in ipairs(numbers) do
      local packed = call('HGET', by_number(digits))
      if packed and may_forbid(law.by_number, packed) and judge(law.by_number.rows, packed, now) then return nil end
    end
  end
  if not law.others then return {} end
  local out, all, n = {}, {}, #law.others
  for i, digits in ipairs(numbers) do
    local names = ledger_names(law, campaign, digits, records[i])
    if n == 1 then
      all[i] = names[1]
    else
      out[i] = concat(names, ',')
      for k = 1, n do all[#all + 1] = names[k] end
    end
  end
  if n == 1 then out = all end
  -- As many values as Lua hands to a command.
  if #all > 3500 then return nil end
  local live, mine, entered = {}, under_way(now), {}
  for k, packed in ipairs(call('HMGET', K.caps_live, unpack(all))) do live[all[k]] = packed or '' end
  for k, name in ipairs(all) do
    local ledger = law.others[(k - 1) % n + 1]
    if ledger.rows then
      local packed = call('HGET', by_name(name))
      packed = packed and packed .. live[name] or live[name]
      if packed ~= '' and may_forbid(ledger, packed) and judge(ledger.rows, packed, now) then return nil end
    end
    -- The next of the same person is judged with this one under way.
    live[name] = live[name] .. mine
    entered[k * 2 - 1] = name
  end
  for k, name in ipairs(all) do entered[k * 2] = live[name] end
  call('HSET', K.caps_live, unpack(entered))
  return out
end
