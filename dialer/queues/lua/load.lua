-- Load a page of the record that is no contact to be called: what, campaign or scope, items...
-- "finished": contact ids; "removed": c<id> or p<digits>; "attempts": pairs of a contact and digits:attempts by commas (see
-- numbers.lua); "dnc": pairs of digits and expiry or ''; "numbers", which are listed for good: MessagePack of the digits of each shard and its members, in turn (see lists.lua); "rules": pairs of parts of
-- a ledger's key and its rules; "calls", with the present moment for a campaign: how long they are kept at least, then for
-- each ledger its name (see caps.lua) or digits, and its entries. A ledger has what is in both.

local what, campaign = ARGV[1], ARGV[2]
local function out(name, contact)
  local record = call('HGET', K.data .. name, contact)
  if record then
    local _, live = live_call_of(name, contact, record)
    forget(name, contact, record, live)
  end
end
if what == 'rules' then
  local kept = kept_rules()
  for i = 3, #ARGV, 2 do call('HSET', K.caps_rules, ARGV[i], both_rules(kept[ARGV[i]], ARGV[i + 1])) end
elseif what == 'calls' then
  local kept, at_least = kept_rules(), tonumber(ARGV[3])
  for i = 4, #ARGV, 2 do
    local name, key, field = ARGV[i], nil, nil
    if find(name, ':', 1, true) then key, field = by_name(name) else key, field = by_number(name) end
    local rules = kept[match(name, '^%a+') or 'n'] or ''
    local entries, there = entries_of(call('HGET', key, field) or ''), {}
    for _, entry in ipairs(entries) do there[entry[4]] = (there[entry[4]] or 0) + 1 end
    for _, entry in ipairs(entries_of(ARGV[i + 1])) do
      if (there[entry[4]] or 0) > 0 then
        there[entry[4]] = there[entry[4]] - 1
      else
        entries[#entries + 1] = entry
      end
    end
    local out = {}
    for k, one in ipairs(pruned(entries, rules, tonumber(campaign))) do out[k] = one[4] end
    local keep = keep_of(rules)
    write_ledger(key, field, concat(out), keep < 0 and keep or math.max(keep, at_least))
  end
elseif what == 'attempts' then
  for i = 3, #ARGV, 2 do
    local numbers, phones = numbers_of(call('HGET', K.numbers .. campaign, ARGV[i])), {}
    for digits, made in string.gmatch(ARGV[i + 1], '(%d+):(%d+)') do
      local known = numbers[digits] or {0, ''}
      numbers[digits] = {math.max(known[1], tonumber(made)), known[2]}
    end
    for digits in pairs(numbers) do phones[#phones + 1] = digits end
    keep_numbers(campaign, ARGV[i], numbers, concat(phones, ','))
  end
elseif what == 'dnc' then
  for i = 3, #ARGV, 2 do dnc_add(campaign, ARGV[i], ARGV[i + 1] ~= '' and ARGV[i + 1]) end
elseif what == 'numbers' then
  -- Contacts come last: in a server that was emptied there is nobody yet to be marked, and none of them expires.
  local waiting, expiring = call('HLEN', K.phones) > 0, call('ZCARD', K.dnc_expiries) > 0
  local packed, added = cmsgpack.unpack(ARGV[3]), 0
  for i = 1, #packed, 2 do
    local shard, members = packed[i], packed[i + 1]
    added = added + call('SADD', K.dnc_set .. campaign .. ':' .. shard, unpack(members))
    if waiting or expiring then
      for _, member in ipairs(members) do
        local digits = shard .. format('%05d', member)
        if waiting then dnc_mark(campaign, digits) end
        if expiring then call('ZREM', K.dnc_expiries, campaign .. '\t' .. digits) end
      end
    end
  end
  if added > 0 then call('HINCRBY', K.dnc_counts, dnc_counted(campaign, ''), added) end
else
  local key = (what == 'finished' and K.finished or K.removed) .. campaign
  for i = 3, #ARGV do
    local item = ARGV[i]
    call('SADD', key, item)
    if what == 'finished' then
      out(campaign, item)
    elseif sub(item, 1, 1) == 'c' then
      for _, name in ipairs(campaign == '*' and call('SMEMBERS', K.campaigns) or {campaign}) do out(name, sub(item, 2)) end
    else
      for line in string.gmatch(call('HGET', K.phones, sub(item, 2)) or '', '[^\n]+') do
        local name, contact = match(line, '^([^\t]*)\t(.*)$')
        if campaign == '*' or name == campaign then out(name, contact) end
      end
    end
  end
end
return 1
