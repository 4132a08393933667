-- What all scripts share; put in front of each of them, after "local K = {...}" with the names of all keys.
-- Redis 6.2 command set. Effects are replicated, so TIME may be read.

local call, sub, match, find, gsub, format = redis.call, string.sub, string.match, string.find, string.gsub, string.format
local floor, concat, tonumber = math.floor, table.concat, tonumber

-- A live call: call, owner, token, attempt, state, reserved, started, answered, connected, server, agent, campaign, digits,
-- contact. It stands under its number in `live`: one entry a reservation, since each costs the gate a microsecond.
local LIVE = '^([^\t]*)\t([^\t]*)\t(%d+)\t(%d+)\t(%a+)\t([^\t]*)\t([^\t]*)\t([^\t]*)\t([^\t]*)\t([^\t]*)\t([^\t]*)\t([^\t]*)\t(%d+)\t(.*)$'
-- A waiting contact: next phone, attempts, expiry, index of the next phone, score, phones, and where the CRM said so
-- since when it may be called; then a line: the CRM's data. A ! before the expiry: one of the phones may be on a list.
-- What the gate looks at comes first: it reads no further than it must.
local HEAD = '^(%d+)\t(%d+)\t([^\t]*)\t(%d+)\t([^\t]*)\t([%d,]*)\t?([^\n]*)\n()'
local SCORE = '^%d+\t%d+\t[^\t]*\t%d+\t([^\t]*)\t'

local function not_ready(why)
  return redis.error_reply('NOTREADY ' .. why)
end

local function phones_of(list)
  if not find(list, ',', 1, true) then return {list} end
  local out = {}
  for digits in string.gmatch(list, '%d+') do out[#out + 1] = digits end
  return out
end

-- The record of a waiting contact; without `data`, all of it that stands before that.
local function head(attempts, expires, index, score, phones, not_before, data)
  local list = find(phones, ',', 1, true) and phones_of(phones)
  local turn = list and list[tonumber(index) % #list + 1] or phones
  local tail = not_before == '' and '\n' or '\t' .. not_before .. '\n'
  return turn .. '\t' .. attempts .. '\t' .. expires .. '\t' .. index .. '\t' .. score .. '\t' .. phones .. tail .. (data or '')
end

local function days_from_civil(y, m, d)
  if m <= 2 then y = y - 1 end
  local era = floor(y / 400)
  local yoe = y - era * 400
  local doy = floor((153 * (m + (m > 2 and -3 or 9)) + 2) / 5) + d - 1
  return era * 146097 + yoe * 365 + floor(yoe / 4) - floor(yoe / 100) + doy - 719468
end

local function civil_from_days(z)
  z = z + 719468
  local era = floor(z / 146097)
  local doe = z - era * 146097
  local yoe = floor((doe - floor(doe / 1460) + floor(doe / 36524) - floor(doe / 146096)) / 365)
  local doy = doe - (365 * yoe + floor(yoe / 4) - floor(yoe / 100))
  local mp = floor((5 * doy + 2) / 153)
  local m = mp + (mp < 10 and 3 or -9)
  return yoe + era * 400 + (m <= 2 and 1 or 0), m, doy - floor((153 * mp + 2) / 5) + 1
end

local clock_s, clock_us
local function rfc3339()
  if not clock_s then
    local t = call('TIME')
    clock_s, clock_us = tonumber(t[1]), tonumber(t[2])
  end
  local days = floor(clock_s / 86400)
  local s = clock_s - days * 86400
  local y, m, d = civil_from_days(days)
  return format('%04d-%02d-%02dT%02d:%02d:%02d.%06dZ', y, m, d, floor(s / 3600), floor(s / 60) % 60, s % 60, clock_us)
end

local keep_ms
local function publish(result)
  result.at = rfc3339()
  local oldest = floor(clock_s * 1000 - keep_ms)
  call('XADD', K.results, 'MINID', '~', format('%.0f', oldest > 0 and oldest or 0), '*', 'data', cjson.encode(result))
end

-- Takes a contact out of the index of phones.
local function unindex(campaign, contact, phones)
  local mine = campaign .. '\t' .. contact
  for _, digits in ipairs(phones) do
    local list = call('HGET', K.phones, digits)
    if list then
      local left = {}
      for line in string.gmatch(list, '[^\n]+') do
        if line ~= mine then left[#left + 1] = line end
      end
      if #left == 0 then
        call('HDEL', K.phones, digits)
      else
        call('HSET', K.phones, digits, concat(left, '\n'))
      end
    end
  end
end

-- The record of a live call, and the field of `live` that has it. Without digits all of them are looked through.
local function live_call(id, digits)
  if digits == '' then
    local all = call('HGETALL', K.live)
    for i = 2, #all, 2 do
      if match(all[i], '^[^\t]*') == id then return all[i], all[i - 1] end
    end
    return nil
  end
  local record = call('HGET', K.live, digits)
  if record and match(record, '^[^\t]*') == id then return record, digits end
  -- Told by its node when the number was being called again already.
  local field = digits .. '#' .. id
  record = call('HGET', K.live, field)
  if record then return record, field end
  return nil
end

-- The same of a contact. The numbers of its record lead to it, or `live_contacts` where they no longer do.
local function live_call_of(campaign, contact, record)
  local field = call('HGET', K.live_contacts, campaign .. '\t' .. contact)
  if field then return call('HGET', K.live, field), field end
  if not record then return nil end
  local _, _, _, _, _, phones = match(record, HEAD)
  for _, digits in ipairs(phones_of(phones)) do
    local live = call('HGET', K.live, digits)
    if live then
      local _, _, _, _, _, _, _, _, _, _, _, its_campaign, _, its_contact = match(live, LIVE)
      if its_campaign == campaign and its_contact == contact then return live, digits end
    end
  end
  return nil
end

-- Takes a contact out of the hopper; live: the field in `live` where it is being called.
local function forget(campaign, contact, record, live)
  local _, _, _, _, _, phones = match(record, HEAD)
  if live then call('HSETNX', K.live_contacts, campaign .. '\t' .. contact, live) end
  unindex(campaign, contact, phones_of(phones))
  call('HDEL', K.data .. campaign, contact)
  call('ZREM', K.ready .. campaign, contact)
  call('ZREM', K.later .. campaign, contact)
end

local function dnc_shard(scope, digits)
  return K.dnc_set .. scope .. ':' .. sub(digits, 1, -6), tonumber(sub(digits, -5))
end

-- Marks the waiting contacts that have the number: the gate asks the lists about those alone (see offer.lua, finish.lua).
local function dnc_add(scope, digits, expires)
  local key, member = dnc_shard(scope, digits)
  if call('SADD', key, member) == 1 then call('HINCRBY', K.dnc_counts, scope, 1) end
  for line in string.gmatch(call('HGET', K.phones, digits) or '', '[^\n]+') do
    local campaign, contact = match(line, '^([^\t]*)\t(.*)$')
    local record = (scope == '*' or scope == campaign) and call('HGET', K.data .. campaign, contact)
    if record then
      local before, rest = match(record, '^(%d+\t%d+\t)([^!].*)$')
      if before then call('HSET', K.data .. campaign, contact, before .. '!' .. rest) end
    end
  end
  if expires then
    call('ZADD', K.dnc_expiries, expires, scope .. '\t' .. digits)
  else
    call('ZREM', K.dnc_expiries, scope .. '\t' .. digits)
  end
end

local function dnc_remove(scope, digits)
  local key, member = dnc_shard(scope, digits)
  if call('SREM', key, member) == 1 then call('HINCRBY', K.dnc_counts, scope, -1) end
  call('ZREM', K.dnc_expiries, scope .. '\t' .. digits)
end

-- A function that tells whether a number is on the list of everybody or on that of the campaign.
local function dnc_lists(campaign)
  local counts = call('HMGET', K.dnc_counts, '*', campaign)
  local everybody = counts[1] and tonumber(counts[1]) > 0 and K.dnc_set .. '*:'
  local own = counts[2] and tonumber(counts[2]) > 0 and K.dnc_set .. campaign .. ':'
  if not everybody and not own then return function() return false end end
  local one = everybody or own
  local other = everybody and own
  return function(digits)
    local shard, member = sub(digits, 1, -6), tonumber(sub(digits, -5))
    return call('SISMEMBER', one .. shard, member) == 1 or (other and call('SISMEMBER', other .. shard, member) == 1)
  end
end

-- Takes a call out of the live ones.
local function unlive(field, campaign, contact)
  call('HDEL', K.live, field)
  if call('HGET', K.live_contacts, campaign .. '\t' .. contact) == field then
    call('HDEL', K.live_contacts, campaign .. '\t' .. contact)
  end
  call('HINCRBY', K.live_count, campaign, -1)
end
