-- What all scripts share; put in front of each of them, after "local K = {...}" with the names of all keys.
-- Redis 6.2 command set. Effects are replicated, so TIME may be read.

local call, sub, match, find, gsub, format = redis.call, string.sub, string.match, string.find, string.gsub, string.format
local floor, concat, tonumber = math.floor, table.concat, tonumber

-- A live call: call, owner, token, attempt, state, reserved, started, answered, connected, server, agent, campaign, digits,
-- contact, names of its ledgers by commas (see caps.lua). It stands under its number in `live`. As long as no more is known of it than when it was reserved, only its token
-- does: the rest was written once for all of its batch, which is several times cheaper than a record for each.
local LIVE = '^([^\t]*)\t([^\t]*)\t(%d+)\t(%d+)\t(%a+)\t([^\t]*)\t([^\t]*)\t([^\t]*)\t([^\t]*)\t([^\t]*)\t([^\t]*)\t([^\t]*)\t(%d+)\t([^\t]*)\t(.*)$'
-- A waiting contact: next phone, attempts, expiry, index of the next phone, score, phones, and where the CRM said so
-- since when it may be called; then a line: the CRM's data. A ! before the expiry: one of the phones may be on a list; a ~
-- behind that: see numbers.lua.
-- What the gate looks at comes first: it reads no further than it must.
local HEAD = '^(%d+)\t(%d+)\t([^\t]*)\t(%d+)\t([^\t]*)\t([%d,]*)\t?([^\n]*)\n()'
-- A batch: owner, reserved, campaign, calls by lines, attempts made before by commas, contacts by \30, their ledgers by \30
-- where any has some. Tokens of a batch begin at a multiple of SPAN, which gives it its number.
local BATCH = '^([^\t]*)\t([^\t]*)\t([^\t]*)\t([^\t]*)\t([^\t]*)\t([^\t]*)\t(.*)$'
local SPAN = 1024
-- Whoever a campaign's filter leaves out waits in `later` with this and the number of the filter as their moment, which
-- never comes: see filter.lua and gate.lua.
local ASIDE = 1e12
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

local function split(list, pattern)
  local out = {}
  for part in string.gmatch(list, pattern) do out[#out + 1] = part end
  return out
end

-- The record of a live call, from what `live` has under its number (nil or false where it has nothing).
local batches = {}
local function live_record(digits, entry)
  if not entry or find(entry, '\t', 1, true) then return entry end
  local token = tonumber(entry)
  local name = format('%.0f', floor(token / SPAN))
  local batch = batches[name]
  if not batch then
    local owner, reserved, campaign, calls, attempts, contacts, ledgers = match(call('HGET', K.live_batches, name), BATCH)
    batch = {
      owner = owner, tail = '\treserved\t' .. reserved .. '\t\t\t\t\t\t' .. campaign .. '\t',
      calls = split(calls, '[^\n]+'), attempts = split(attempts, '%d+'), contacts = split(contacts, '[^\30]+'),
      ledgers = split(ledgers, '[^\30]+'),
    }
    batches[name] = batch
  end
  local place = token % SPAN + 1
  local attempt = format('%.0f', batch.attempts[place] + 1)
  return batch.calls[place] .. '\t' .. batch.owner .. '\t' .. entry .. '\t' .. attempt .. batch.tail .. digits .. '\t'
    .. batch.contacts[place] .. '\t' .. (batch.ledgers[place] or '')
end

local function live_at(digits)
  return live_record(digits, call('HGET', K.live, digits))
end

-- The call has a record of its own, or has ended: where nobody is left of its batch, that goes.
local function leave_batch(entry)
  if find(entry, '\t', 1, true) then return end
  local name = format('%.0f', floor(tonumber(entry) / SPAN))
  if call('HINCRBY', K.live_left, name, -1) <= 0 then
    call('HDEL', K.live_left, name)
    call('HDEL', K.live_batches, name)
  end
end

-- The record of a live call, the field of `live` that has it, and what stands there. Without digits all of them are looked
-- through. With a token the record may be that token alone: then it is this reservation, and no more is known of it.
local everybody
local function live_call(id, digits, token)
  if digits == '' then
    if not everybody then
      everybody = {}
      local all = call('HGETALL', K.live)
      for i = 1, #all, 2 do
        local record = live_record(all[i], all[i + 1])
        everybody[match(record, '^[^\t]*')] = {record, all[i], all[i + 1]}
      end
    end
    return unpack(everybody[id] or {})
  end
  local entry = call('HGET', K.live, digits)
  if entry then
    if entry == token then return entry, digits, entry end
    local record = live_record(digits, entry)
    if match(record, '^[^\t]*') == id then return record, digits, entry end
  end
  -- Told by its node when the number was being called again already.
  local field = digits .. '#' .. id
  entry = call('HGET', K.live, field)
  if entry then return entry, field, entry end
  return nil
end

-- The same of a contact. The numbers of its record lead to it, or `live_contacts` where they no longer do.
local function live_call_of(campaign, contact, record)
  local field = call('HGET', K.live_contacts, campaign .. '\t' .. contact)
  if field then return live_at(field), field end
  if not record then return nil end
  local _, _, _, _, _, phones = match(record, HEAD)
  for _, digits in ipairs(phones_of(phones)) do
    local live = live_at(digits)
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
  call('HDEL', K.numbers .. campaign, contact)
  call('ZREM', K.ready .. campaign, contact)
  call('ZREM', K.later .. campaign, contact)
  if call('HDEL', K.promised .. campaign, contact) == 1 then call('ZREM', K.reserved .. campaign, contact) end
end

-- Puts a refusal on record: JSON without its moment, which is unix seconds.
local function record_refusal(at, json)
  call('XADD', K.refusals, '*', 'data', '{"at":' .. at .. ',' .. sub(json, 2))
end

-- Takes a call out of the live ones; field and entry as live_call gives them.
local function unlive(field, entry, campaign, contact)
  call('HDEL', K.live, field)
  leave_batch(entry)
  if call('HGET', K.live_contacts, campaign .. '\t' .. contact) == field then
    call('HDEL', K.live_contacts, campaign .. '\t' .. contact)
  end
  call('HINCRBY', K.live_count, campaign, -1)
end

-- Removals came while a contact was reserved that is not called after all: no call will report on them, so they are
-- answered here.
local function answer_removals(id, campaign, contact)
  local told = call('HGET', K.live_purged, id)
  if not told then return end
  call('HDEL', K.live_purged, id)
  for line in string.gmatch(told, '[^\n]+') do
    local entry = cjson.decode(line)
    if entry.kind == 'removal' then
      publish({type = 'removal.applied', campaign = campaign, contact = contact, ref = entry.ref, reason = entry.reason})
    end
  end
end
