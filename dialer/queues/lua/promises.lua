-- Contacts that are called with an agent reserved for them (docs/adr/0009). In front of all scripts that move contacts.
-- An entry of `promised` says: whether it came while the contact was being called (1 or 0), from when on it may be called,
-- by which agent ('': any), when it becomes anybody's, and until when it is tried again. Such a contact waits in `later`,
-- and once it is due in `reserved`, never in `ready`.

local PROMISE = '^(%d)\t([^\t]*)\t([^\t]*)\t([^\t]*)\t([^\t]*)$'

-- Lets contacts of `later` with such scores, at most so many, wait where they are looked for.
local function take_up(campaign, from, to, limit)
  local later = K.later .. campaign
  local due = call('ZRANGEBYSCORE', later, from, to, 'LIMIT', 0, limit)
  if #due == 0 then return end
  local promised = call('EXISTS', K.promised .. campaign) == 1 and call('HMGET', K.promised .. campaign, unpack(due)) or {}
  local to_ready, to_reserved, priorities = {}, {}, priorities_of(campaign)
  for i, record in ipairs(call('HMGET', K.data .. campaign, unpack(due))) do
    if record and promised[i] then
      local _, at = match(promised[i], PROMISE)
      to_reserved[#to_reserved + 1] = at
      to_reserved[#to_reserved + 1] = due[i]
    elseif record then
      to_ready[#to_ready + 1] = rank_of(record, priorities)
      to_ready[#to_ready + 1] = due[i]
    end
  end
  if #to_ready > 0 then call('ZADD', K.ready .. campaign, unpack(to_ready)) end
  if #to_reserved > 0 then call('ZADD', K.reserved .. campaign, unpack(to_reserved)) end
  call('ZREM', later, unpack(due))
end

-- Contacts whose time has come; and those whom an earlier filter of the campaign left out, where it has one (see filter.lua).
local function promote(campaign, now_text, filter)
  take_up(campaign, '-inf', now_text, 200)
  if filter then take_up(campaign, ASIDE, format('(%.0f', ASIDE + match(filter, '^%d+')), 500) end
end

-- The moment of a promise that was made while the contact was being called; from now on it is one like any other.
local function fresh_promise(campaign, contact, promise)
  local at = promise and match(promise, '^1\t([^\t]*)')
  if at then call('HSET', K.promised .. campaign, contact, '0' .. sub(promise, 2)) end
  return at
end

-- A contact that was reserved and not called waits again; one that was only lent for this call is done as before.
local function put_back(campaign, contact, record, not_before)
  if call('SISMEMBER', K.finished .. campaign, contact) == 1 then return forget(campaign, contact, record) end
  local promise = call('HGET', K.promised .. campaign, contact)
  not_before = fresh_promise(campaign, contact, promise) or not_before
  if not_before ~= '' then
    call('ZADD', K.later .. campaign, not_before, contact)
  elseif promise then
    local _, at = match(promise, PROMISE)
    call('ZADD', K.reserved .. campaign, at, contact)
  else
    call('ZADD', K.ready .. campaign, rank_of(record, priorities_of(campaign)), contact)
  end
end
