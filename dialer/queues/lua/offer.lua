-- Upsert contacts of one campaign (no id twice in one call), or load them from the record.
-- campaign, "offer" or "load", and MessagePack of columns: ids, phones, data, priorities, expiries, not before, attempts
-- made, time of the next. A column that nobody has anything in is nil.
-- Answers what became of each: A(dded) U(pdated) R(emoved) F(inished) D(o not call).

local campaign, loading = ARGV[1], ARGV[2] == 'load'
if not loading and call('HEXISTS', K.gate, 'generation') == 0 then return not_ready('the record has not been loaded') end
local ready, later, data = K.ready .. campaign, K.later .. campaign, K.data .. campaign
local ids, lists, payloads, priorities, expiries, not_befores, attempts_made, next_times = unpack(cmsgpack.unpack(ARGV[3]), 1, 8)
local n = #ids
call('SADD', K.campaigns, campaign)

-- The numbers of all contacts in one row; those of contact i end at last[i].
local all, last, m = {}, {[0] = 0}, 0
for i = 1, n do
  local list = lists[i]
  if find(list, ',', 1, true) then
    for digits in string.gmatch(list, '%d+') do m = m + 1 all[m] = digits end
  else
    m = m + 1
    all[m] = list
  end
  last[i] = m
end
local own = campaign .. '\t'
-- What most installations have none of, or not yet, is asked for once a run rather than once a contact.
local NONE = {}
local function members(key, list, kind)
  if call('EXISTS', key) == 0 then return NONE end
  local names = list
  if kind then
    names = {}
    for i, name in ipairs(list) do names[i] = kind .. name end
  end
  return call('SMISMEMBER', key, unpack(names))
end
local removed, removed_all = members(K.removed .. campaign, ids, 'c'), members(K.removed .. '*', ids, 'c')
local withdrawn, withdrawn_all = members(K.removed .. campaign, all, 'p'), members(K.removed .. '*', all, 'p')
local removals = removed ~= NONE or removed_all ~= NONE
local finished = members(K.finished .. campaign, ids)
local records = call('EXISTS', data) == 0 and NONE or call('HMGET', data, unpack(ids))
-- Field in `live` of those that are being called; found as live_call_of does.
local live = {}
if call('EXISTS', K.live_contacts) == 1 then
  local keys = {}
  for i = 1, n do keys[i] = own .. ids[i] end
  live = call('HMGET', K.live_contacts, unpack(keys))
end
if records ~= NONE and call('EXISTS', K.live) == 1 then
  local theirs, whose = {}, {}
  for i = 1, n do
    if records[i] and not live[i] then
      local _, _, _, _, _, old = match(records[i], HEAD)
      for _, digits in ipairs(phones_of(old)) do
        theirs[#theirs + 1], whose[#whose + 1] = digits, i
      end
    end
  end
  for k, record in ipairs(#theirs > 0 and call('HMGET', K.live, unpack(theirs)) or NONE) do
    if record then
      local _, _, _, _, _, _, _, _, _, _, _, its_campaign, _, contact = match(live_record(theirs[k], record), LIVE)
      if its_campaign == campaign and contact == ids[whose[k]] then live[whose[k]] = theirs[k] end
    end
  end
end
local listed = dnc_lists(campaign)
-- Those that are called with an agent reserved wait for what was promised, see promises.lua.
local numbers = call('EXISTS', K.numbers .. campaign) == 1 and call('HMGET', K.numbers .. campaign, unpack(ids)) or NONE
local of_lists = priorities_of(campaign)
local promised = call('EXISTS', K.promised .. campaign) == 1 and call('HMGET', K.promised .. campaign, unpack(ids)) or NONE

-- When a contact was to be called; nil of one that a filter has left out, of which there may be other news now.
local function waiting_until(id)
  local at = call('ZSCORE', later, id)
  return at and tonumber(at) < ASIDE and at or nil
end

-- The index of phones, read at once and written at once: lines by number, of those that change here.
local read = call('HMGET', K.phones, unpack(all))
local lines, changed, c = {}, {}, 0

local function line(j, key)
  local digits = all[j]
  local before = lines[digits]
  if not before then
    before = read[j] or ''
    c = c + 1
    changed[c] = digits
  end
  lines[digits] = before == '' and key or before .. '\n' .. key
end

local function unline(digits, key)
  local before = lines[digits]
  if not before then
    before = call('HGET', K.phones, digits) or ''
    c = c + 1
    changed[c] = digits
  end
  local left = {}
  for other in string.gmatch(before, '[^\n]+') do
    if other ~= key then left[#left + 1] = other end
  end
  lines[digits] = concat(left, '\n')
end

local push = call('HINCRBY', K.gate, 'push', n) - n
local store, to_ready, to_later, out = {}, {}, {}, {}
local s, r, l = 0, 0, 0
for i = 1, n do
  local id, list, record, from, to = ids[i], lists[i], records[i], last[i - 1] + 1, last[i]
  local gone, callable, to_ask = false, false, false
  if removals then
    gone = removed[i] == 1 or removed_all[i] == 1
    for j = from, to do
      if withdrawn[j] == 1 or withdrawn_all[j] == 1 then gone = true end
    end
  end
  if not gone and finished[i] ~= 1 then
    for j = from, to do
      if not listed(all[j], payloads[i], 1) then callable = true break end
      to_ask = true
    end
  end
  if live[i] then call('HSETNX', K.live_contacts, own .. id, live[i]) end
  if gone or finished[i] == 1 or not (callable or live[i]) then
    if record then
      -- An update that adds a withdrawn number, or leaves only listed ones, ends the waiting of the contact.
      local _, _, _, _, _, old = match(record, HEAD)
      for _, digits in ipairs(phones_of(old)) do
        unline(digits, own .. id)
      end
      call('HDEL', data, id)
      if numbers[i] then call('HDEL', K.numbers .. campaign, id) end
      call('ZREM', ready, id)
      call('ZREM', later, id)
    end
    if promised[i] then
      call('HDEL', K.promised .. campaign, id)
      call('ZREM', K.reserved .. campaign, id)
    end
    out[i] = gone and 'R' or finished[i] == 1 and 'F' or 'D'
  else
    local _, attempts, index, score, old, said
    if record then _, attempts, _, index, score, old, said = match(record, HEAD) end
    local expires, not_before = expiries and expiries[i] or '', not_befores and not_befores[i] or ''
    local made, next_at = attempts_made and attempts_made[i] or 0, next_times and next_times[i] or ''
    -- The order of pushes decides among contacts of one priority; 2^41 pushes fit beside 2,001 priorities in a double.
    local order = attempts and score % 2199023255552 or push + i
    local rank = format('%.0f', order - (priorities and priorities[i] or 0) * 2199023255552)
    local before = attempts and tonumber(attempts) or 0
    local total = made > before and made or before
    local kept = old == list and index or '0'
    -- Not known to be on no list is only the number whose turn it is, where it is another than the first.
    if to_ask or kept ~= '0' then expires = '!' .. expires end
    -- Until when it waits, if for its numbers.
    local opens
    if numbers[i] then
      local known = numbers_of(numbers[i])
      -- There may be other hours now.
      for _, one in pairs(loading and NONE or known) do
        local till = tonumber(one[2])
        if till and (not opens or till < opens) then opens = till end
        one[2] = ''
      end
      if keep_numbers(campaign, id, known, list) then expires = marked(expires) end
    end
    s = s + 2
    store[s - 1] = id
    if total == 0 and expires == '' and kept == '0' and not_before == '' then
      -- What `head` would say, of nearly all contacts of a list.
      store[s] = all[from] .. '\t0\t\t0\t' .. rank .. '\t' .. list .. '\n' .. payloads[i]
    else
      store[s] = head(total, expires, kept, rank, list, not_before, payloads[i])
    end
    if old ~= list then
      local key = own .. id
      for _, digits in ipairs(old and phones_of(old) or NONE) do
        unline(digits, key)
      end
      for j = from, to do line(j, key) end
    end
    if not live[i] then
      local begin = not_before
      if next_at ~= '' and (begin == '' or tonumber(next_at) > tonumber(begin)) then begin = next_at end
      if attempts then
        local waits = waiting_until(id)
        if loading then
          if made <= before then begin = '' end
          if waits and (begin == '' or tonumber(begin) < tonumber(waits)) then begin = waits end
        elseif waits and before > 0 and tonumber(waits) ~= opens and (not_before == '' or not_before == said) then
          -- It waits for its next attempt: only a time that is news, as of a callback, comes instead.
          begin = waits
        end
      end
      if promised[i] then
        -- Whatever the push says; if the gate has put it off since, that holds.
        local waits = waiting_until(id)
        begin = match(promised[i], '^%d\t([^\t]*)')
        if waits and tonumber(waits) > tonumber(begin) then begin = waits end
        call('ZREM', K.reserved .. campaign, id)
      end
      if begin ~= '' then
        l = l + 2
        to_later[l - 1] = begin
        to_later[l] = id
        if attempts then call('ZREM', ready, id) end
      else
        r = r + 2
        to_ready[r - 1] = of_lists and rank_of(store[s], of_lists) or rank
        to_ready[r] = id
        if attempts then call('ZREM', later, id) end
      end
    end
    out[i] = attempts and 'U' or live[i] and 'U' or 'A'
  end
end
if s > 0 then call('HSET', data, unpack(store)) end
if r > 0 then call('ZADD', ready, unpack(to_ready)) end
if l > 0 then call('ZADD', later, unpack(to_later)) end
local index, empty = {}, {}
local x = 0
for k = 1, c do
  local digits = changed[k]
  local left = lines[digits]
  if left == '' then
    empty[#empty + 1] = digits
  else
    x = x + 2
    index[x - 1] = digits
    index[x] = left
  end
end
if x > 0 then call('HSET', K.phones, unpack(index)) end
if #empty > 0 then call('HDEL', K.phones, unpack(empty)) end
return concat(out)
