-- The gate: drain what the CRM has said, then reserve contacts of one campaign. One step, nothing in between.
-- generation, owner, campaign, now, inbox seen, results kept for (ms), drain at most, put off by (s), how many,
-- call ids joined by new lines (one argument is much cheaper than many).
-- Answers {more to drain?, turn, ready, later, first token, ids, records, {place, digits...} where the number is not the
-- record's first, refused, inbox}; ids and records joined by a character that neither can have.

local generation, owner, campaign, now_text = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
keep_ms = tonumber(ARGV[6])
local put_off_s = tonumber(ARGV[8])
local gate = call('HMGET', K.gate, 'generation', 'removals', 'dnc')
if not gate[1] then return not_ready('the record has not been loaded') end
if gate[1] ~= generation then return not_ready('the record was loaded anew') end

local turn = call('INCR', K.turn)
local more = drain(ARGV[7], gate[2], gate[3])
local ready, later, data = K.ready .. campaign, K.later .. campaign, K.data .. campaign
local now = tonumber(now_text)

local over = call('ZRANGEBYSCORE', K.dnc_expiries, '-inf', now_text, 'LIMIT', 0, 100)
for _, entry in ipairs(over) do dnc_remove(match(entry, '^([^\t]*)\t(%d+)$')) end

local due = call('ZRANGEBYSCORE', later, '-inf', now_text, 'LIMIT', 0, 200)
if #due > 0 then
  local args = {}
  for i, record in ipairs(call('HMGET', data, unpack(due))) do
    if record then
      args[#args + 1] = match(record, SCORE)
      args[#args + 1] = due[i]
    end
  end
  if #args > 0 then call('ZADD', ready, unpack(args)) end
  call('ZREM', later, unpack(due))
end

local ids_out, records_out, numbers_out, refused, counts = {}, {}, {}, {}, {}
local token = 0
local function refuse(why) counts[why] = (counts[why] or 0) + 1 end

-- With a backlog of removals nobody is reserved: it must be gone first.
local want = more and 0 or tonumber(ARGV[9])
if want > 0 then
  local taken, live, asides, chosen, made, nexts = {}, {}, {}, {}, {}, {}
  local listed
  local given, examined = 0, 0
  local bound = want * 2 + 100
  while given < want and examined < bound do
    -- ZRANGE and ZREMRANGEBYRANK take half the time of ZPOPMIN, which also has to write out the scores.
    local ids = call('ZRANGE', ready, 0, want - given - 1)
    local n = #ids
    if n == 0 then break end
    call('ZREMRANGEBYRANK', ready, 0, n - 1)
    examined = examined + n
    local firsts, attempts_of, expiries = {}, {}, {}
    local records = call('HMGET', data, unpack(ids))
    for i = 1, n do
      local digits, attempts, expires = match(records[i] or '', '^(%d+)\t(%d+)\t([^\t]*)')
      firsts[i], attempts_of[i], expiries[i] = digits or '0', attempts, expires
    end
    local busy = call('HMGET', K.live, unpack(firsts))
    for i = 1, n do
      local id, record, digits, attempts, expires = ids[i], records[i], firsts[i], attempts_of[i], expiries[i]
      local to_ask = false
      if attempts and expires ~= '' and sub(expires, 1, 1) == '!' then to_ask, expires = true, sub(expires, 2) end
      if not attempts then
        refuse('removed')
      elseif expires ~= '' and tonumber(expires) <= now then
        forget(campaign, id, record)
        call('SADD', K.finished .. campaign, id)
        publish({type = 'contact.rejected', campaign = campaign, contact = id, reason = 'expired'})
        refuse('expired')
      else
        if to_ask and not listed then listed = dnc_lists(campaign) end
        local on_list = to_ask and listed(digits)
        local is_live = busy[i] or taken[digits]
        if on_list or is_live then
          -- The others in turn; the contact counts as listed only where all of its numbers are.
          listed = listed or dnc_lists(campaign)
          local _, _, _, index, _, phones = match(record, HEAD)
          local list = phones_of(phones)
          local some_live = not on_list
          for k = 1, #list - 1 do
            digits = list[(index + k) % #list + 1]
            on_list = listed(digits)
            is_live = not on_list and (taken[digits] or call('HEXISTS', K.live, digits) == 1)
            if not on_list and not is_live then break end
            some_live = some_live or not on_list
          end
          if on_list and some_live then on_list, is_live = false, true end
        end
        if on_list then
          forget(campaign, id, record)
          publish({type = 'contact.rejected', campaign = campaign, contact = id, reason = 'do_not_call'})
          refuse('do_not_call')
        elseif is_live then
          asides[#asides + 1] = format('%.6f', now + put_off_s)
          asides[#asides + 1] = id
          refuse('number_live')
        else
          taken[digits] = true
          given = given + 1
          ids_out[given], records_out[given], chosen[given], made[given] = id, record, digits, attempts
          if digits ~= firsts[i] then
            numbers_out[#numbers_out + 1] = given
            numbers_out[#numbers_out + 1] = digits
          end
        end
      end
    end
  end
  if #asides > 0 then call('ZADD', later, unpack(asides)) end
  if given > 0 then
    token = call('HINCRBY', K.gate, 'fence', given) - given + 1
    local front, tail = '\t' .. owner .. '\t', '\treserved\t' .. now_text .. '\t\t\t\t\t\t' .. campaign .. '\t'
    local next_call = string.gmatch(ARGV[10], '[^\n]+')
    for i = 1, given do
      local digits, attempts = chosen[i], made[i]
      -- Writing numbers out is what is slow here; most contacts have made as many attempts as the one before.
      local middle = nexts[attempts]
      if not middle then
        middle = '\t' .. (attempts + 1) .. tail
        nexts[attempts] = middle
      end
      live[i * 2 - 1] = digits
      live[i * 2] = next_call() .. front .. (token + i - 1) .. middle .. digits .. '\t' .. ids_out[i]
    end
    call('HSET', K.live, unpack(live))
    call('HINCRBY', K.live_count, campaign, given)
    -- Nobody takes these for a dead node's before its first heartbeat.
    call('ZADD', K.nodes, 'NX', format('%.6f', now + 10), owner)
  end
end
for why, n in pairs(counts) do
  refused[#refused + 1] = why
  refused[#refused + 1] = n
end
return {
  more and 1 or 0, turn, call('ZCARD', ready), call('ZCARD', later), token, concat(ids_out, '\30'), concat(records_out, '\30'),
  numbers_out, refused, inbox(owner, ARGV[5]),
}
