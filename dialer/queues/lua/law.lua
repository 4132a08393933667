-- What the caps of a request say of a number. In front of gate.lua; dialer/queues/cap_law.py makes the law.

local huge, sha1hex, byte = math.huge, redis.sha1hex, string.byte

-- The rows of one ledger, and what they need at least to forbid anything: so many calls, or such facts.
local function with_rows(rows)
  local ledger = {rows = rows, least = huge, rest_after = 0}
  for _, row in ipairs(rows) do
    if row[1] == 'rest' then
      ledger.rest_after = bit.bor(ledger.rest_after, row[2])
    elseif row[4] < ledger.least then
      ledger.least = row[4]
    end
  end
  return ledger
end

-- The law: seller; lists of key parts, each with the rules by which its ledgers are kept; and for the numbers of some country
-- codes ('': of all) lists of key parts with the rows that apply.
-- Remembers what rules there are, so that every call is entered where any of them counts. Answers of which parts all ledgers
-- but the number's are, with or without rows, and for each code the ledger of the number, and in the order of those parts
-- the others, where any row is about them.
local function read_law(packed)
  local seller, keeps, rulings = unpack(cmsgpack.unpack(packed), 1, 3)
  local kept, others, by_code = kept_rules(), {}, {}
  for _, one in ipairs(keeps) do
    local parts, block = one[1], one[2]
    local known = kept[parts]
    if known ~= block then
      local both = both_rules(known, block)
      if both ~= known then
        call('HSET', K.caps_rules, parts, both)
        kept[parts] = both
      end
    end
  end
  for parts in pairs(kept) do
    if parts ~= 'n' then others[#others + 1] = parts end
  end
  for _, ruling in ipairs(rulings) do
    local rows, ledgers = {}, {}
    for _, one in ipairs(ruling[2]) do rows[one[1]] = with_rows(one[2]) end
    ledgers.number = rows.n
    for i, parts in ipairs(others) do ledgers[i] = rows[parts] or false end
    for _, code in ipairs(ruling[1]) do by_code[code] = ledgers end
  end
  return {seller = seller, others = #others > 0 and others, by_code = by_code, of_all = by_code['']}
end

-- What a number is held to; no code begins with another.
local NOTHING = {}
local function ruling_of(law, digits)
  local by_code = law.by_code
  return law.of_all or by_code[sub(digits, 1, 2)] or by_code[sub(digits, 1, 1)] or by_code[sub(digits, 1, 3)] or NOTHING
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
        elseif kind == 'ever' or (kind == 'rolling' and now < at + length) or (kind == 'days' and at >= row[8][1]) then
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
        local starts, day = row[8], 1
        while starts[day + 1] and last >= starts[day + 1] do day = day + 1 end
        till = row[9][day]
      end
    end
    if till then
      found = found or {till = -1, rules = {}}
      local says = {rule = row[6], country = row[7], count = n}
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
  local rest_after = ledger.rest_after
  if rest_after ~= 0 then
    for p = 7, #packed, 8 do
      local high, low = byte(packed, p, p + 1)
      if band(high * 256 + low, rest_after) ~= 0 then return true end
    end
  end
  return false
end

-- What the CRM says of a contact begins with whom it has named, where it has: the ledger of the person, person, account,
-- subject (cap_law.ledger_and_who).
local WHO = '^{"who":%["([^"\\]*)","([^"\\]*)","([^"\\]*)","([^"\\]*)"%]'
local PERSON = '^{"who":%["(p:%x+)"'

local function hashed(parts, names) return parts .. ':' .. sub(sha1hex(names), 1, 20) end

-- The name of the ledger of the person that a contact is; who is not named is known by the number.
local function person_ledger(digits, record)
  return match(record, PERSON, find(record, '\n', 1, true) + 1) or hashed('p', #digits + 1 .. ':+' .. digits)
end

-- The names of the other ledgers of a contact, see cap_law.ledger_name.
local function ledger_names(law, campaign, digits, record)
  local names, part, others = {}, nil, law.others
  for i = 1, #others do
    local parts = others[i]
    if parts == 'p' then
      names[i] = person_ledger(digits, record)
    else
      if not part then
        local at = find(record, '\n', 1, true) + 1
        local _, person, account, subject = match(record, WHO, at)
        if not person and find(record, '"who":', at, true) then
          -- With characters that JSON writes in another way.
          local ok, data = pcall(cjson.decode, sub(record, at))
          if ok and type(data) == 'table' and type(data.who) == 'table' then person, account, subject = unpack(data.who, 2, 4) end
        end
        part = {
          n = '+' .. digits, p = person and person ~= '' and person or '+' .. digits,
          a = account and account ~= '' and account or campaign, s = subject and subject ~= '' and subject or campaign,
          c = campaign, e = law.seller,
        }
      end
      local joined = ''
      for k = 1, #parts do
        local name = part[sub(parts, k, k)]
        joined = joined .. #name .. ':' .. name
      end
      names[i] = hashed(parts, joined)
    end
  end
  return names
end

-- What the law forbids of a number of a contact (nil: nothing), and the names of its other ledgers.
local function law_says(law, campaign, digits, record, now)
  local ruling, found, names = ruling_of(law, digits), nil, nil
  local ledger = ruling.number
  if ledger then
    local packed = call('HGET', by_number(digits))
    if packed and may_forbid(ledger, packed) then found = judge(ledger.rows, packed, now, nil) end
  end
  if law.others then
    names = ledger_names(law, campaign, digits, record)
    for i = 1, #names do
      ledger = ruling[i]
      if ledger then
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
  local of_all = law.of_all
  for i = 1, #numbers do
    local digits = numbers[i]
    local ledger = (of_all or ruling_of(law, digits)).number
    if ledger then
      local packed = call('HGET', by_number(digits))
      if packed and may_forbid(ledger, packed) and judge(ledger.rows, packed, now) then return nil end
    end
  end
  local others = law.others
  if not others then return {} end
  local out, all, n = {}, {}, #others
  -- Most laws count by person, if by anything but the number.
  local by_person = n == 1 and others[1] == 'p'
  for i = 1, #numbers do
    if by_person then
      all[i] = person_ledger(numbers[i], records[i])
    else
      local names = ledger_names(law, campaign, numbers[i], records[i])
      out[i] = concat(names, ',')
      for k = 1, n do all[#all + 1] = names[k] end
    end
  end
  if by_person then out = all end
  -- As many values as Lua hands to a command.
  if #all > 3500 then return nil end
  local before, live, mine, entered = call('HMGET', K.caps_live, unpack(all)), {}, under_way(now), {}
  for k = 1, #all do
    local name, of = all[k], of_all or ruling_of(law, numbers[floor((k - 1) / n) + 1])
    local ledger, others_live = of[(k - 1) % n + 1], live[name] or before[k]
    if ledger then
      local packed = call('HGET', by_name(name))
      packed = packed and others_live and packed .. others_live or packed or others_live
      if packed and may_forbid(ledger, packed) and judge(ledger.rows, packed, now) then return nil end
    end
    -- The next of the same person is judged with this one under way; of a name that comes twice the last has all.
    others_live = others_live and others_live .. mine or mine
    live[name] = others_live
    entered[k * 2 - 1], entered[k * 2] = name, others_live
  end
  call('HSET', K.caps_live, unpack(entered))
  return out
end
