-- End an attempt, once: free contact and number, journal it, publish the result, put the contact back or end it.
-- owner, call, token (0: of a recovered call), campaign, contact, digits, attempt, retry at or '', journal, result, kept for
-- (ms), reserved at or '', its ledgers or '' (see caps.lua), and for them: start, seconds, facts, when it ended; then
-- whether the next call needs an agent reserved (1 or '')
-- Answers 1, or 0 where this call has been finished before or belongs to somebody else by now.

local owner, id, token, campaign, contact, digits = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4], ARGV[5], ARGV[6]
local retry_at = ARGV[8]
local gate = call('HMGET', K.gate, 'generation', 'epoch')
if not gate[1] then return not_ready('the record has not been loaded') end
local epoch = tonumber(gate[2] or 0)
local live, field, entry = live_call(id, digits, ARGV[3])
local reserved, ledgers = ARGV[12], ARGV[13]
if live then
  if live ~= ARGV[3] then
    local _, its_owner, its_token, _, _, its_reserved, _, _, _, _, _, _, _, _, its_ledgers = match(live, LIVE)
    if token == 0 and its_owner ~= owner then return 0 end
    if token ~= 0 and token < tonumber(its_token) then return 0 end
    reserved, ledgers = its_reserved, its_ledgers
  end
  unlive(field, entry, campaign, contact)
  call('HDEL', K.live_purged, id)
elseif token > epoch then
  -- This Redis issued the token and no longer has the call: it was finished or given back.
  return 0
end
if token <= epoch then
  -- From before a loss of this Redis' memory (or without a token): the record must not miss it, nor have it twice.
  if call('SADD', K.ended, id) == 0 then return 0 end
  call('EXPIRE', K.ended, 86400)
end
call('XADD', K.attempts, '*', 'data', ARGV[9])
local oldest = tonumber(call('TIME')[1]) * 1000 - tonumber(ARGV[11])
call('XADD', K.results, 'MINID', '~', format('%.0f', oldest > 0 and oldest or 0), '*', 'data', ARGV[10])

leave_ledgers(ledgers, reserved)
local rules = kept_rules()
if next(rules) then
  local made, now = pack_entry('>I4I2I2', tonumber(ARGV[14]), tonumber(ARGV[15]), tonumber(ARGV[16])), tonumber(ARGV[17])
  if rules.n then
    local key, two = by_number(digits)
    settle(key, two, rules.n, made, now)
  end
  settle_all(ledgers, rules, made, now)
end

local record = call('HGET', K.data .. campaign, contact)
if record then
  local _, attempts, expires, index, score, phones, not_before, payload = match(record, HEAD)
  local promise = call('HGET', K.promised .. campaign, contact)
  -- Agreed while this call was under way, most likely in the talk itself: that is when the contact is called next.
  local promised_at = fresh_promise(campaign, contact, promise)
  if promised_at then
    retry_at = promised_at
  elseif retry_at ~= '' and call('SISMEMBER', K.finished .. campaign, contact) == 1 then
    -- Lent for this call alone.
    retry_at = ''
  end
  if retry_at == '' then
    forget(campaign, contact, record)
    call('SADD', K.finished .. campaign, contact)
    call('SET', K.made .. campaign .. '\t' .. contact, ARGV[7], 'EX', 120)
  else
    local list = phones_of(phones)
    for i, phone in ipairs(list) do
      if phone == digits then index = promised_at and 0 or i end
    end
    -- It is another number's turn, which may be on a list: the gate has to ask.
    if #list > 1 and sub(expires, 1, 1) ~= '!' then expires = '!' .. expires end
    if find(record, '"numbers":{', payload, true) then
      -- It says something of its numbers, perhaps how often each may be called.
      local numbers = numbers_of(call('HGET', K.numbers .. campaign, contact))
      numbers[digits] = {(numbers[digits] and numbers[digits][1] or 0) + 1, numbers[digits] and numbers[digits][2] or ''}
      if keep_numbers(campaign, contact, numbers, phones) then expires = marked(expires) end
    end
    local made = math.max(tonumber(attempts), tonumber(ARGV[7]))
    call('HSET', K.data .. campaign, contact, head(made, expires, index, score, phones, not_before) .. sub(record, payload))
    if promise and not promised_at then
      -- What was promised stays so until it is kept.
      local _, _, agent, fallback_at, until_at = match(promise, PROMISE)
      promise = concat({'0', retry_at, agent, fallback_at, until_at}, '\t')
      call('HSET', K.promised .. campaign, contact, promise)
    elseif not promise and ARGV[18] ~= '' then
      call('HSET', K.promised .. campaign, contact, concat({'0', retry_at, '', retry_at, retry_at}, '\t'))
    end
    if not live_call_of(campaign, contact, record) then
      call('ZREM', K.ready .. campaign, contact)
      call('ZREM', K.reserved .. campaign, contact)
      call('ZADD', K.later .. campaign, retry_at, contact)
    end
  end
elseif retry_at == '' then
  call('SADD', K.finished .. campaign, contact)
end
return 1
