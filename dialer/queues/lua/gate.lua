-- The gate: drain what the CRM has said, then reserve contacts of one campaign. One step, nothing in between.
-- generation, owner, campaign, now, inbox seen, results kept for (ms), drain at most, put off by (s), how many,
-- call ids joined by new lines (one argument is much cheaper than many), the law of caps or '' (see law.lua), and where one
-- contact is asked for by name (with one call id), that name, and its number where it must be that one.
-- Answers {more to drain?, turn, ready, later, first token, ids joined by a character that they cannot have, digits by
-- commas, attempts made before by commas, records, refused, inbox, ledgers joined as the ids or '', effects (see
-- draining.lua), how often numbers were erased, the campaign's filter or '' (see filter.lua), what is kept of their numbers
-- one by one joined as the ids or '' (see numbers.lua), and of a contact asked for by
-- name when to ask again or '', 1 where it was lent for this call, and the time it waited for or ''}.

local generation, owner, campaign, now_text = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
keep_ms = tonumber(ARGV[6])
local put_off_s = tonumber(ARGV[8])
local gate = call('HMGET', K.gate, 'generation', 'removals', 'dnc', 'fence', 'prefixes', 'suppressions',
  'filter:' .. campaign)
if not gate[1] then return not_ready('the record has not been loaded') end
if gate[1] ~= generation then return not_ready('the record was loaded anew') end

local turn = call('INCR', K.turn)
local more = drain(ARGV[7], gate[2], gate[3])
local ready, later, data = K.ready .. campaign, K.later .. campaign, K.data .. campaign
local now = tonumber(now_text)

local function let_expire(over) -- rarely
  for _, entry in ipairs(over) do dnc_remove(match(entry, '^([^\t]*)\t(%d+%*?)$')) end
end
local over = call('ZRANGEBYSCORE', K.dnc_expiries, '-inf', now_text, 'LIMIT', 0, 100)
if #over > 0 then let_expire(over) end

promote(campaign, now_text, gate[7])

local law = ARGV[11] ~= '' and read_law(ARGV[11])
local ids_out, records_out, numbers_out, made_out, counts, asides = {}, {}, {}, {}, {}, {}
local ledgers_out = {}
local taken, listed, begun = {}, nil, nil
if (prefixes or tonumber(gate[5] or 0)) > 0 then listed, begun = dnc_lists(campaign) end
local function refuse(why) counts[why] = (counts[why] or 0) + 1 end
-- What is kept of the numbers of those reserved, where of any.
local kept_out, some_kept = {}, false

-- Until when a number is not called; nil where it may be.
local function waits_until(numbers, digits)
  local till = numbers and numbers[digits] and tonumber(numbers[digits][2])
  -- However often it was called: what was promised to a person, or asked for by name, is called once more.
  if ARGV[12] and till and till >= NEVER then return nil end
  return till and till > now and till or nil
end

-- A contact that may not be called, now or for good, because of the law.
local function put_on_record(id, digits, why, evidence)
  local said = {call = '', campaign = campaign, contact = id, phone = '+' .. digits, reason = why, evidence = evidence}
  record_refusal(now_text, cjson.encode(said))
end

-- Of a contact asked for by name: the number that it must be, and when to ask for that again.
local only, ask_again = ARGV[13], nil
-- The number at which a contact may be called, attempts made and ledgers, where that is not plain: what the record says has
-- to be asked about, its first number is being called, or there is a law. nil where there is none; then it has been put
-- where it belongs.
local function number_of(id, record, busy)
  local digits, attempts, expires = match(record or '', '^(%d+)\t(%d+)\t([^\t]*)')
  if not attempts then return refuse('removed') end
  local to_ask = sub(expires, 1, 1) == '!'
  if to_ask then expires = sub(expires, 2) end
  local kept
  if sub(expires, 1, 1) == '~' then
    expires = sub(expires, 2)
    kept = call('HGET', K.numbers .. campaign, id) or nil
  end
  local numbers = kept and not only and numbers_of(kept)
  if expires ~= '' and tonumber(expires) <= now then
    forget(campaign, id, record)
    call('SADD', K.finished .. campaign, id)
    publish({type = 'contact.rejected', campaign = campaign, contact = id, reason = 'expired'})
    put_on_record(id, digits, 'expired', {expires_at = tonumber(expires)})
    return refuse('expired')
  end
  busy = busy or taken[digits]
  if to_ask or busy then listed = listed or dnc_lists(campaign) end
  local scope, prefix
  if to_ask or begun then scope, prefix = listed(digits, record) end
  local on_list = scope ~= nil
  local first, hit, ledgers, soonest = digits, nil, nil, nil
  if not on_list and not busy then
    soonest = waits_until(numbers, digits)
    if not soonest then
      if law then hit, ledgers = law_says(law, campaign, digits, record, now) end
      if not hit then return digits, attempts, ledgers, kept end
    end
  end
  -- The others in turn; the contact counts as listed only where all of its numbers are.
  local some_busy = busy and not on_list
  local _, _, _, index, _, phones = match(record, HEAD)
  local list = phones_of(phones)
  if only and #list > 1 then
    -- Nothing has been said of its other numbers.
    ask_again = ''
    if some_busy then
      ask_again = format('%.6f', now + put_off_s)
      return refuse('number_live')
    end
    if hit and hit.till < huge then ask_again = format('%.6f', hit.till) end
    put_on_record(id, digits, hit and hit.why or 'do_not_call', hit and {rules = hit.rules} or {scope = scope, prefix = prefix})
    return refuse(hit and hit.why or 'do_not_call')
  end
  if #list > 1 then listed = listed or dnc_lists(campaign) end
  for k = 1, #list - 1 do
    digits = list[(index + k) % #list + 1]
    if not listed(digits, record) then
      if taken[digits] or call('HEXISTS', K.live, digits) == 1 then
        some_busy = true
      else
        local other, till = nil, waits_until(numbers, digits)
        if till then
          if not soonest or till < soonest then soonest = till end
        else
          if law then other, ledgers = law_says(law, campaign, digits, record, now) end
          if not other then return digits, attempts, ledgers, kept end
          if not hit or other.till < hit.till then hit = other end
        end
      end
    end
  end
  if some_busy then
    asides[#asides + 1] = format('%.6f', now + put_off_s)
    asides[#asides + 1] = id
    return refuse('number_live')
  end
  if soonest and soonest < NEVER and not (hit and hit.till <= soonest) then
    -- Why is on record since they began to wait.
    asides[#asides + 1] = format('%.6f', soonest)
    asides[#asides + 1] = id
    return refuse('phone_hours')
  end
  if hit then
    -- Until the first of its numbers may be called.
    if hit.till < huge then
      asides[#asides + 1] = format('%.6f', hit.till)
      asides[#asides + 1] = id
    else
      forget(campaign, id, record)
      publish({type = 'contact.rejected', campaign = campaign, contact = id, reason = hit.why})
    end
    put_on_record(id, hit.digits, hit.why, {rules = hit.rules})
    return refuse(hit.why)
  end
  forget(campaign, id, record)
  if soonest then
    publish({type = 'contact.rejected', campaign = campaign, contact = id, reason = 'phone_attempts'})
    put_on_record(id, first, 'phone_attempts', {numbers = #list})
    return refuse('phone_attempts')
  end
  publish({type = 'contact.rejected', campaign = campaign, contact = id, reason = 'do_not_call'})
  put_on_record(id, first, 'do_not_call', {listed = #list, scope = scope, prefix = prefix})
  return refuse('do_not_call')
end

-- A contact asked for by name, taken out of wherever it waits; none, and the reason told, where it does not.
local lent, waited = false, nil
local function take_named(contact) -- rarely
  local record = call('HGET', data, contact)
  if live_call_of(campaign, contact, record) then
    refuse('live')
    return {}
  end
  local done = call('SISMEMBER', K.finished .. campaign, contact) == 1
  if not record then
    local gone = call('SISMEMBER', K.removed .. campaign, 'c' .. contact) == 1
      or call('SISMEMBER', K.removed .. '*', 'c' .. contact) == 1
    refuse(gone and 'removed' or done and 'finished' or 'unknown')
    return {}
  end
  if done then
    -- Lent: its numbers are in no index, by which a removal by number would have found it.
    local _, _, _, _, _, phones = match(record, HEAD)
    for _, digits in ipairs(phones_of(phones)) do
      if call('SISMEMBER', K.removed .. campaign, 'p' .. digits) == 1 or call('SISMEMBER', K.removed .. '*', 'p' .. digits) == 1 then
        forget(campaign, contact, record)
        refuse('removed')
        return {}
      end
    end
  end
  if only then
    local _, attempts, expires, _, score, phones, not_before, payload = match(record, HEAD)
    local place
    for i, digits in ipairs(phones_of(phones)) do
      if digits == only then place = i - 1 end
    end
    if not place then
      refuse('unknown_phone')
      return {}
    end
    if sub(expires, 1, 1) ~= '!' then expires = '!' .. expires end
    record = head(attempts, expires, place, score, phones, not_before) .. sub(record, payload)
    call('HSET', data, contact, record)
  end
  lent = done
  waited = call('ZSCORE', later, contact)
  call('ZREM', ready, contact)
  call('ZREM', later, contact)
  call('ZREM', K.reserved .. campaign, contact)
  return {contact}
end

local named, named_out = ARGV[12], nil
local given = 0
local token = (floor(tonumber(gate[4] or 0) / SPAN) + 1) * SPAN
-- What goes into `live`, where it is known before the end.
local live
local others = law and law.others
-- With a backlog of removals nobody is reserved: it must be gone first.
local want = more and 0 or tonumber(ARGV[9])
local examined, bound = 0, want * 2 + 100
while given < want and examined < bound do
  -- ZRANGE and ZREMRANGEBYRANK take half the time of ZPOPMIN, which also has to write out the scores.
  local ids = named and take_named(named) or call('ZRANGE', ready, 0, want - given - 1)
  local n = #ids
  if n == 0 then break end
  if named then
    -- Once, whatever becomes of it.
    examined = bound
  else
    call('ZREMRANGEBYRANK', ready, 0, n - 1)
    examined = examined + n
  end
  local records = call('HMGET', data, unpack(ids))
  local firsts, made = {}, {}
  for i = 1, n do
    -- Most are called for the first time, never expire and have no number to be asked about.
    local record = records[i] or ''
    local digits, attempts = match(record, '^([^\t]+)\t0\t\t'), '0'
    if not digits then
      digits, attempts = match(record, '^([^\t]+)\t([^\t]+)\t\t')
      digits = digits or match(record, '^%d+') or '0'
    end
    firsts[i], made[i] = digits, attempts
  end
  local busy = call('HMGET', K.live, unpack(firsts))
  if given == 0 and not named then
    live = {}
    for i = 1, n do
      local digits = firsts[i]
      if not made[i] or busy[i] or taken[digits] or (begun and begun(digits, records[i])) then
        live, taken = nil, {}
        break
      end
      taken[digits] = true
      live[i * 2 - 1], live[i * 2] = digits, token + i - 1
    end
    local entered = live and law and enter_all(law, campaign, firsts, records, now)
    if entered then
      ledgers_out = entered
    elseif law then
      live, taken = nil, {}
    end
  else
    live = nil
  end
  if live then
    -- All of them as they are, as nearly always.
    given, ids_out, records_out, numbers_out, made_out = n, ids, records, firsts, made
  else
    for i = 1, n do
      local digits, attempts, ledgers, kept = firsts[i], made[i], nil, nil
      if law or begun or not attempts or busy[i] or taken[digits] then
        digits, attempts, ledgers, kept = number_of(ids[i], records[i], busy[i])
      end
      if digits then
        given = given + 1
        kept_out[given], some_kept = kept or '', some_kept or kept ~= nil
        if others then ledgers_out[given] = enter(ledgers, now) end
        taken[digits] = true
        ids_out[given], records_out[given], numbers_out[given], made_out[given] = ids[i], records[i], digits, attempts
      end
    end
  end
end
if named then
  named_out = {ask_again or asides[1] or '', lent and given > 0 and 1 or 0, waited or ''}
  -- Being asked for does not bring its time forward.
  if waited and asides[1] and tonumber(asides[1]) < tonumber(waited) then asides[1] = waited end
  if lent and given == 0 then
    -- It was known for this call alone, which is not made.
    local record = call('HGET', data, named)
    if record then forget(campaign, named, record) end
    asides = {}
  elseif ask_again then
    put_back(campaign, named, call('HGET', data, named), waited or '')
  end
end
if #asides > 0 then call('ZADD', later, unpack(asides)) end
local ids_text, made_text, ledgers_text = concat(ids_out, '\30'), concat(made_out, ','), concat(ledgers_out, '\30')
if given > 0 then
  call('HSET', K.gate, 'fence', format('%.0f', token + given - 1))
  local calls = ARGV[10]
  if given < want then
    local stop = 0
    for _ = 1, given do stop = find(calls, '\n', stop + 1, true) end
    calls = sub(calls, 1, stop - 1)
  end
  local batch = format('%.0f', token / SPAN)
  call('HSET', K.live_batches, batch, concat({owner, now_text, campaign, calls, made_text, ids_text, ledgers_text}, '\t'))
  call('HSET', K.live_left, batch, given)
  if not live then
    live = {}
    for i = 1, given do
      live[i * 2 - 1], live[i * 2] = numbers_out[i], token + i - 1
    end
  end
  call('HSET', K.live, unpack(live))
  call('HINCRBY', K.live_count, campaign, given)
  -- Nobody takes these for a dead node's before its first heartbeat.
  call('ZADD', K.nodes, 'NX', format('%.6f', now + 10), owner)
end
local refused = {}
for why, n in pairs(counts) do
  refused[#refused + 1] = why
  refused[#refused + 1] = n
end
local waiting = call('ZCARD', later)
if gate[7] then waiting = waiting - call('ZCOUNT', later, ASIDE, '+inf') end
return {
  more and 1 or 0, turn, call('ZCARD', ready), waiting, token, ids_text, concat(numbers_out, ','), made_text,
  records_out, refused, inbox(owner, ARGV[5]), ledgers_text, effects, tonumber(gate[6] or 0), gate[7] or '',
  some_kept and concat(kept_out, '\30') or '', named_out,
}
