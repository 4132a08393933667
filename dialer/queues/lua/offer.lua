-- Upsert contacts of one campaign (no id twice in one call), or load them from the record.
-- campaign, "offer" or "load", then for each: id, priority, expiry, not before, phones, data, attempts made.
-- Answers what became of each: A(dded) U(pdated) R(emoved) F(inished) D(o not call).

local campaign, loading = ARGV[1], ARGV[2] == 'load'
if not loading and call('HEXISTS', K.gate, 'generation') == 0 then return not_ready('the record has not been loaded') end
local ready, later, data = K.ready .. campaign, K.later .. campaign, K.data .. campaign
local n = (#ARGV - 2) / 7
call('SADD', K.campaigns, campaign)

local ids, tags, keys, phones, all, first = {}, {}, {}, {}, {}, {}
for i = 1, n do
  local at = 2 + (i - 1) * 7
  ids[i] = ARGV[at + 1]
  tags[i] = 'c' .. ids[i]
  keys[i] = campaign .. '\t' .. ids[i]
  phones[i] = phones_of(ARGV[at + 5])
  first[i] = #all
  for _, digits in ipairs(phones[i]) do all[#all + 1] = digits end
end
local marks = {}
for i, digits in ipairs(all) do marks[i] = 'p' .. digits end
local NONE = {}
local function members(key, list)
  if call('EXISTS', key) == 0 then return NONE end
  return call('SMISMEMBER', key, unpack(list))
end
local removed, removed_all = members(K.removed .. campaign, tags), members(K.removed .. '*', tags)
local withdrawn, withdrawn_all = members(K.removed .. campaign, marks), members(K.removed .. '*', marks)
local finished = members(K.finished .. campaign, ids)
local records = call('HMGET', data, unpack(ids))
local live = call('HMGET', K.live_contacts, unpack(keys))
local listed = dnc_lists(campaign)

-- The index of phones, read at once and written at once.
local lines, changed = {}, {}
local read = call('HMGET', K.phones, unpack(all))
for i, digits in ipairs(all) do lines[digits] = read[i] or '' end

local function unline(digits, key)
  local left = {}
  for line in string.gmatch(lines[digits] or call('HGET', K.phones, digits) or '', '[^\n]+') do
    if line ~= key then left[#left + 1] = line end
  end
  lines[digits], changed[digits] = concat(left, '\n'), true
end

local push = call('HINCRBY', K.gate, 'push', n) - n
local store, to_ready, to_later, out = {}, {}, {}, {}
for i = 1, n do
  local at = 2 + (i - 1) * 7
  local id, priority, expires, not_before, list, payload = ids[i], tonumber(ARGV[at + 2]), ARGV[at + 3], ARGV[at + 4], ARGV[at + 5], ARGV[at + 6]
  local made = tonumber(ARGV[at + 7])
  local gone, callable = removed[i] == 1 or removed_all[i] == 1, false
  for k = 1, #phones[i] do
    local j = first[i] + k
    if withdrawn[j] == 1 or withdrawn_all[j] == 1 then gone = true end
  end
  if not gone and finished[i] ~= 1 then
    for _, digits in ipairs(phones[i]) do
      if not listed(digits) then callable = true break end
    end
  end
  local record = records[i]
  if gone or finished[i] == 1 or not (callable or live[i]) then
    if record then
      -- An update that adds a withdrawn number, or leaves only listed ones, ends the waiting of the contact.
      local _, _, _, _, _, old = match(record, HEAD)
      for _, digits in ipairs(phones_of(old)) do
        unline(digits, keys[i])
      end
      call('HDEL', data, id)
      call('ZREM', ready, id)
      call('ZREM', later, id)
    end
    out[i] = gone and 'R' or finished[i] == 1 and 'F' or 'D'
  else
    local _, attempts, _, index, score, old = match(record or '', HEAD)
    -- The order of pushes decides among contacts of one priority; 2^41 pushes fit beside 2,001 priorities in a double.
    local order = attempts and score % 2199023255552 or push + i
    local rank = format('%.0f', order - priority * 2199023255552)
    local before = attempts and tonumber(attempts) or 0
    local total = math.max(before, made)
    local kept = old == list and index or '0'
    store[#store + 1] = id
    store[#store + 1] = head(total, expires, kept, rank, list) .. payload
    if old ~= list then
      for _, digits in ipairs(old and phones_of(old) or NONE) do
        unline(digits, keys[i])
      end
      for _, digits in ipairs(phones[i]) do
        lines[digits] = lines[digits] == '' and keys[i] or lines[digits] .. '\n' .. keys[i]
        changed[digits] = true
      end
    end
    if not live[i] then
      local waits
      if attempts then
        waits = call('ZSCORE', later, id)
        if before == 0 and not loading then waits = nil end
        if loading and made <= before then not_before = '' end
      end
      if waits and (not_before == '' or tonumber(not_before) < tonumber(waits)) then not_before = waits end
      if not_before ~= '' then
        to_later[#to_later + 1] = not_before
        to_later[#to_later + 1] = id
        if attempts then call('ZREM', ready, id) end
      else
        to_ready[#to_ready + 1] = rank
        to_ready[#to_ready + 1] = id
        if attempts then call('ZREM', later, id) end
      end
    end
    out[i] = attempts and 'U' or live[i] and 'U' or 'A'
  end
end
if #store > 0 then call('HSET', data, unpack(store)) end
if #to_ready > 0 then call('ZADD', ready, unpack(to_ready)) end
if #to_later > 0 then call('ZADD', later, unpack(to_later)) end
local index, empty = {}, {}
for digits in pairs(changed) do
  if lines[digits] == '' then
    empty[#empty + 1] = digits
  else
    index[#index + 1] = digits
    index[#index + 1] = lines[digits]
  end
end
if #index > 0 then call('HSET', K.phones, unpack(index)) end
if #empty > 0 then call('HDEL', K.phones, unpack(empty)) end
return concat(out)
