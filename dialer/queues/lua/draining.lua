-- Reads the CRM's removals and do-not-call entries from where the gate last stood. In front of gate.lua and drain.lua.

-- When the entry that is being read was written, by this server's clock in milliseconds, as its id has it; and what entries
-- did: types of results, each followed by the milliseconds until now.
local written_ms
local effects = {}

local function age_of(written)
  rfc3339()
  return format('%.3f', math.max(0, clock_s * 1000 + clock_us / 1000 - tonumber(written)))
end

local function tell_crm(result)
  publish(result)
  effects[#effects + 1] = result.type
  effects[#effects + 1] = age_of(written_ms)
end

local function set_aside(stream, entry, raw, why, ref)
  call('XADD', K.rejected, 'MAXLEN', '~', 10000, '*', 'stream', stream, 'entry', entry, 'reason', why, 'data', raw or '')
  publish({type = 'message.rejected', ref = ref, reason = stream .. ' ' .. entry .. ': ' .. why})
end

local function utf8_ok(s)
  if not find(s, '[\128-\255]') then return true end
  local i, n = 1, #s
  while i <= n do
    local b, size = string.byte(s, i), nil
    if b < 0x80 then size = 1
    elseif b >= 0xC2 and b <= 0xDF then size = 2
    elseif b >= 0xE0 and b <= 0xEF then size = 3
    elseif b >= 0xF0 and b <= 0xF4 then size = 4
    else return false end
    for k = i + 1, i + size - 1 do
      local c = string.byte(s, k)
      if not c or c < 0x80 or c > 0xBF then return false end
    end
    if size > 2 then
      local c = string.byte(s, i + 1)
      if (b == 0xE0 and c < 0xA0) or (b == 0xED and c > 0x9F) or (b == 0xF0 and c < 0x90) or (b == 0xF4 and c > 0x8F) then
        return false
      end
    end
    i = i + size
  end
  return true
end

-- A JSON string, or a whole number as a string (some CRMs number their contacts); nil where absent, false where neither.
local function text(value)
  if value == nil or value == cjson.null then return nil end
  if type(value) == 'string' then
    if value == '' then return nil end
    return value
  end
  if type(value) == 'number' and value == floor(value) and value > -1e15 and value < 1e15 then return format('%.0f', value) end
  return false
end

-- Digits of a number with + and country code; of the beginning of one where `least` is fewer than seven.
local function digits_of(phone, least)
  local s = gsub(gsub(phone, '\194\160', ''), '[%s%-%.%(%)]', '')
  if sub(s, 1, 2) == '00' then s = '+' .. sub(s, 3) end
  local digits = match(s, '^%+([1-9]%d*)$')
  if digits and #digits >= (least or 7) and #digits <= 15 then return digits end
  return nil
end

local function moment(value)
  local y, mo, d, h, mi, s, fraction, zone =
    match(value, '^(%d%d%d%d)%-(%d%d)%-(%d%d)[Tt ](%d%d):(%d%d):(%d%d)(%.?%d*)([Zz%+%-].*)$')
  if not y or fraction == '.' or (fraction ~= '' and sub(fraction, 1, 1) ~= '.') then return nil end
  y, mo, d, h, mi, s = tonumber(y), tonumber(mo), tonumber(d), tonumber(h), tonumber(mi), tonumber(s)
  if y < 1 or mo < 1 or mo > 12 or d < 1 or h > 23 or mi > 59 or s > 59 then return nil end
  local days = days_from_civil(y, mo, d)
  local _, back_mo, back_d = civil_from_days(days)
  if back_mo ~= mo or back_d ~= d then return nil end
  local offset = 0
  if zone ~= 'Z' and zone ~= 'z' then
    local sign, oh, om = match(zone, '^([%+%-])(%d%d):(%d%d)$')
    if not sign or tonumber(oh) > 23 or tonumber(om) > 59 then return nil end
    offset = (tonumber(oh) * 60 + tonumber(om)) * 60 * (sign == '-' and -1 or 1)
  end
  return days * 86400 + h * 3600 + mi * 60 + s - offset + (fraction ~= '' and tonumber('0' .. fraction) or 0)
end

-- The call is told of a removal or do-not-call entry, through the inbox of the node that has it.
local function tell(id, owner, kind, ref, reason)
  local entry = cjson.encode({call = id, kind = kind, ref = ref, reason = reason, at = rfc3339(), written = written_ms})
  local told = call('HGET', K.live_purged, id)
  call('HSET', K.live_purged, id, told and told .. '\n' .. entry or entry)
  call('XADD', K.inbox .. owner, '*', 'data', entry)
  call('EXPIRE', K.inbox .. owner, 86400)
end

-- Withdraws one contact of one campaign. True where it was known.
local function withdraw(campaign, contact, ref, reason, phone)
  local record = call('HGET', K.data .. campaign, contact)
  local live, field = live_call_of(campaign, contact, record)
  if record then
    forget(campaign, contact, record, field)
    call('SADD', K.finished .. campaign, contact)
  end
  if live then
    local id, owner = match(live, LIVE)
    tell(id, owner, 'removal', ref, reason)
    return true
  end
  if not record and call('SISMEMBER', K.finished .. campaign, contact) == 0 then return false end
  tell_crm({type = 'removal.applied', campaign = campaign, contact = contact, phone = phone, ref = ref, reason = reason})
  return true
end

local function remove(m, ref)
  local campaign, contact, phone, reason = text(m.campaign), text(m.contact), text(m.phone), text(m.reason)
  if not campaign then return 'campaign is missing: give its name, or "*" for all' end
  if campaign ~= '*' and (#campaign > 64 or find(campaign, '[^%w_%-]')) then
    return 'campaign must be a name of letters, digits, _ and -, or "*"'
  end
  if contact == false or (contact and (#contact > 512 or find(contact, '[%c\127]'))) then
    return 'contact must be a text without control characters'
  end
  if phone == false then return 'phone must be a text' end
  if not contact and not phone then return 'neither contact nor phone is given' end
  if reason == false then return 'reason must be a text' end
  local digits
  if phone then
    digits = digits_of(phone)
    if not digits then return 'phone is not a number with + and country code' end
    phone = '+' .. digits
  end
  local known = false
  if contact then
    call('SADD', K.removed .. campaign, 'c' .. contact)
    local campaigns = {campaign}
    if campaign == '*' then
      campaigns = call('SMEMBERS', K.campaigns)
      table.sort(campaigns)
    end
    for _, name in ipairs(campaigns) do
      if withdraw(name, contact, ref, reason, nil) then known = true end
    end
  end
  if digits then
    call('SADD', K.removed .. campaign, 'p' .. digits)
    local told, lines = {}, {}
    for line in string.gmatch(call('HGET', K.phones, digits) or '', '[^\n]+') do lines[#lines + 1] = line end
    table.sort(lines)
    for _, line in ipairs(lines) do
      local name, id = match(line, '^([^\t]*)\t(.*)$')
      if campaign == '*' or name == campaign then
        call('SADD', K.removed .. name, 'c' .. id)
        withdraw(name, id, ref, reason, phone)
        told[line], known = true, true
      end
    end
    local live = live_at(digits)
    if live then
      local its, owner, _, _, _, _, _, _, _, _, _, name, _, id = match(live, LIVE)
      if (campaign == '*' or name == campaign) and not told[name .. '\t' .. id] and id ~= contact then
        call('SADD', K.removed .. name, 'c' .. id)
        local record = call('HGET', K.data .. name, id)
        if record then
          forget(name, id, record, digits)
          call('SADD', K.finished .. name, id)
        end
        tell(its, owner, 'removal', ref, reason)
        known = true
      end
    end
  end
  if not known then
    tell_crm({type = 'removal.not_found', campaign = campaign, contact = contact, phone = phone, ref = ref, reason = reason})
  end
  return nil
end

-- The calls under way that an entry is about are told of it.
local function tell_listed(scope, digits, ref, reason)
  local account = account_in(scope)
  local function about(live)
    local id, owner, _, _, _, _, _, _, _, _, _, name, _, contact = match(live, LIVE)
    local its = scope == '*' or name == scope or tenants(name) == scope
    if account then its = account_of(call('HGET', K.data .. name, contact)) == account end
    if its then tell(id, owner, 'dnc', ref, reason) end
  end
  if sub(digits, -1) ~= '*' then
    local live = live_at(digits)
    if live then about(live) end
    return
  end
  local all, begin = call('HGETALL', K.live), sub(digits, 1, -2)
  for i = 1, #all, 2 do
    if sub(all[i], 1, #begin) == begin then about(live_record(match(all[i], '^%d+'), all[i + 1])) end
  end
end

local function do_not_call(m, ref)
  local scope, phone, reason, expires = text(m.scope), text(m.phone), text(m.reason), m.expires
  if scope == nil then scope = '*' end
  local account = scope and match(scope, '^account:(.+)$')
  if account and (#account > 256 or find(account, '[%c\127]')) then
    return 'scope names an account by at most 256 bytes, without control characters'
  end
  local named = scope and (scope == '*' or account or scope == tenants(scope) or (#scope <= 64 and not find(scope, '[^%w_%-]')))
  if not named then
    return 'scope must be "*", the name of a campaign, or account: and the name of an account'
  end
  if not phone then return 'phone is missing' end
  local begin = match(phone, '^(.*)%*$')
  local digits = digits_of(begin or phone, begin and 1)
  if not digits then
    return begin and 'phone must have + and a country code at least before its *' or 'phone is not a number with + and country code'
  end
  if begin then digits = digits .. '*' end
  if reason == false then return 'reason must be a text' end
  if text(m.source) == false then return 'source must be a text' end
  if text(m.by) == false then return 'by must be a text' end
  if expires == cjson.null or expires == '' then expires = nil end
  if expires ~= nil then
    expires = type(expires) == 'string' and moment(expires)
    if not expires then return 'expires must be a time of RFC 3339 with zone, such as 2030-01-31T12:00:00Z' end
  end
  local said = {phone = '+' .. digits, account = account, ref = ref, reason = reason}
  if scope ~= '*' and not account then said.campaign = scope end
  if m.op == 'add' then
    dnc_add(scope, digits, expires and format('%.6f', expires))
    tell_listed(scope, digits, ref, reason)
    said.type = 'dnc.applied'
  elseif m.op == 'remove' then
    dnc_remove(scope, digits)
    said.type = 'dnc.removed'
  else
    return 'op must be "add" or "remove"'
  end
  tell_crm(said)
  return nil
end

local function take(stream, entry, fields, apply)
  local raw
  for i = 1, #fields, 2 do
    if fields[i] == 'data' then raw = fields[i + 1] end
  end
  if not raw then return set_aside(stream, entry, nil, 'it has no field "data"') end
  if #raw > 65536 then return set_aside(stream, entry, raw, 'data is longer than 64 KiB') end
  if not utf8_ok(raw) then return set_aside(stream, entry, raw, 'data is not UTF-8 text') end
  local ok, m = pcall(cjson.decode, raw)
  if not ok or type(m) ~= 'table' or find(raw, '^%s*%[') then return set_aside(stream, entry, raw, 'data is not a JSON object') end
  local ref = text(m.id)
  if ref == false then return set_aside(stream, entry, raw, 'id must be a text') end
  local why = apply(m, ref)
  if why then set_aside(stream, entry, raw, why, ref) end
end

-- Does what the entries of both streams say. True where one of them has `limit` entries: there may be more.
local function take_all(got, limit) -- rarely
  local more = false
  for _, stream in ipairs(got) do
    local key, entries = stream[1], stream[2]
    local name = key == K.removals and 'removals' or 'dnc'
    local apply = key == K.removals and remove or do_not_call
    for _, entry in ipairs(entries) do
      written_ms = match(entry[1], '^%d+')
      take(name, entry[1], entry[2], apply)
    end
    call('HSET', K.gate, name, entries[#entries][1])
    if #entries >= tonumber(limit) then more = true end
  end
  return more
end

-- Up to `limit` entries of each stream. True where there may be more.
local function drain(limit, removals, dnc)
  local got = call('XREAD', 'COUNT', limit, 'STREAMS', K.removals, K.dnc, removals or '0-0', dnc or '0-0')
  return got and take_all(got, limit) or false
end

-- What waits in the owner's inbox behind `seen`, which it has dealt with: id, entry, milliseconds since it was written.
local function inbox(owner, seen)
  local key = K.inbox .. owner
  if seen ~= '' then
    local ms, seq = match(seen, '^(%d+)%-(%d+)$')
    call('XTRIM', key, 'MINID', ms .. '-' .. format('%.0f', tonumber(seq) + 1))
  end
  local out = {}
  for _, entry in ipairs(call('XRANGE', key, '-', '+', 'COUNT', 200)) do
    out[#out + 1] = entry[1]
    out[#out + 1] = entry[2][2]
    out[#out + 1] = age_of(match(entry[2][2], '"written":"(%d+)"') or match(entry[1], '^%d+'))
  end
  return out
end
