-- Do-not-call lists. In front of the scripts that enter, load and ask about entries.
--
-- An entry has a scope ("*", a campaign, a tenant's <name>--*, account:<name>) and the digits of a number, or those with which numbers begin and
-- a *. Numbers stand in sharded sets, beginnings in one set a scope (see keys.py). The gate asks about the numbers of
-- contacts that are marked alone, see dnc_add. Beginnings are too many numbers to mark: where there are any, it asks about
-- every contact; `prefixes` in the gate's hash counts them, so that nothing is asked where there are none.

local ACCOUNT = 'account:'

-- A name that the CRM gave: a text, or a whole number; nil where there is none.
local function name_of(value)
  if type(value) == 'string' and value ~= '' then return value end
  if type(value) == 'number' and value == floor(value) and value > -9007199254740992 and value < 9007199254740992 then
    return value == 0 and '0' or format('%.0f', value)
  end
  return nil
end

local function names_in(record, at)
  local ok, data = pcall(cjson.decode, sub(record, at))
  local fields = ok and type(data) == 'table' and data.fields
  return type(fields) == 'table' and fields or {}
end

-- The account that a contact is about: from its record, or from the CRM's data where that begins at `at`.
local function account_of(record, at)
  if not record then return nil end
  if not at then
    local _, _, _, _, _, _, _, begin = match(record, HEAD)
    at = begin
  end
  if not at or not find(record, '"account"', at, true) then return nil end
  return name_of(names_in(record, at).account)
end

local function account_in(scope)
  return sub(scope, 1, 8) == ACCOUNT and sub(scope, 9) or nil
end

-- The scope of all campaigns of the tenant whose campaign this is (see dialer/core/tenants.py); nil: of none.
local function tenants(campaign)
  local tenant = match(campaign, '^(.-)%-%-')
  return tenant and #tenant <= 24 and match(tenant, '^[a-z0-9][a-z0-9%-]*$') and tenant .. '--*' or nil
end

local function dnc_shard(scope, digits)
  local account = account_in(scope)
  -- Two colons: no campaign's set is called so. One field a line for all accounts, which have few numbers each.
  if account then return K.dnc_set .. 'account::' .. sub(digits, 1, -6), sub(digits, -5) .. '\t' .. account end
  return K.dnc_set .. scope .. ':' .. sub(digits, 1, -6), tonumber(sub(digits, -5))
end

-- The field of `dnc_counts`; all accounts are counted together.
local function dnc_counted(scope, what)
  return (account_in(scope) and ACCOUNT or scope) .. what
end

-- How many beginnings there are, once it has changed in this run.
local prefixes
local function count_prefix(scope, n)
  call('HINCRBY', K.dnc_counts, dnc_counted(scope, '\t*'), n)
  prefixes = call('HINCRBY', K.gate, 'prefixes', n)
end

-- Marks the waiting contacts that have the number: the gate asks the lists about those alone (see offer.lua, finish.lua).
local function dnc_mark(scope, digits)
  local any = scope == '*' or account_in(scope)
  for line in string.gmatch(call('HGET', K.phones, digits) or '', '[^\n]+') do
    local campaign, contact = match(line, '^([^\t]*)\t(.*)$')
    local record = (any or scope == campaign or scope == tenants(campaign)) and call('HGET', K.data .. campaign, contact)
    if record then
      local before, rest = match(record, '^(%d+\t%d+\t)([^!].*)$')
      if before then call('HSET', K.data .. campaign, contact, before .. '!' .. rest) end
    end
  end
end

local function dnc_add(scope, digits, expires)
  if sub(digits, -1) == '*' then
    if call('SADD', K.dnc_prefixes .. scope, sub(digits, 1, -2)) == 1 then count_prefix(scope, 1) end
  else
    local key, member = dnc_shard(scope, digits)
    if call('SADD', key, member) == 1 then call('HINCRBY', K.dnc_counts, dnc_counted(scope, ''), 1) end
    dnc_mark(scope, digits)
  end
  if expires then
    call('ZADD', K.dnc_expiries, expires, scope .. '\t' .. digits)
  else
    call('ZREM', K.dnc_expiries, scope .. '\t' .. digits)
  end
end

local function dnc_remove(scope, digits)
  if sub(digits, -1) == '*' then
    if call('SREM', K.dnc_prefixes .. scope, sub(digits, 1, -2)) == 1 then count_prefix(scope, -1) end
  else
    local key, member = dnc_shard(scope, digits)
    if call('SREM', key, member) == 1 then call('HINCRBY', K.dnc_counts, dnc_counted(scope, ''), -1) end
  end
  call('ZREM', K.dnc_expiries, scope .. '\t' .. digits)
end

-- The longest listed beginning of a number.
local function dnc_begun(scope, digits)
  local begins = {}
  for n = 1, #digits do begins[n] = sub(digits, 1, n) end
  local on = call('SMISMEMBER', K.dnc_prefixes .. scope, unpack(begins))
  for n = #begins, 1, -1 do
    if on[n] == 1 then return '+' .. begins[n] .. '*' end
  end
  return nil
end

-- Two functions. The first tells which list forbids a campaign to call a number of a contact: scope, and the beginning
-- where it is listed by that; nil: none. The second asks about beginnings alone; nil where there are none to ask about.
-- Both take digits and, for lists of accounts, what account_of takes.
local function dnc_lists(campaign)
  local company = tenants(campaign) or campaign
  local counts = call(
    'HMGET', K.dnc_counts, '*', campaign, ACCOUNT, '*\t*', campaign .. '\t*', ACCOUNT .. '\t*', company, company .. '\t*'
  )
  local some = {}
  for i = 1, 8 do some[i] = counts[i] and tonumber(counts[i]) > 0 end
  local everybody, own = some[1] and K.dnc_set .. '*:', some[2] and K.dnc_set .. campaign .. ':'
  local shared = company ~= campaign and some[7] and K.dnc_set .. company .. ':'

  local begun
  if some[4] or some[5] or some[6] or some[8] then
    begun = function(digits, record, at)
      local prefix = some[4] and dnc_begun('*', digits)
      if prefix then return '*', prefix end
      prefix = some[5] and dnc_begun(campaign, digits)
      if prefix then return campaign, prefix end
      prefix = some[8] and dnc_begun(company, digits)
      if prefix then return company, prefix end
      local account = some[6] and account_of(record, at)
      prefix = account and dnc_begun(ACCOUNT .. account, digits)
      if prefix then return ACCOUNT .. account, prefix end
      return nil
    end
  end

  local function listed(digits, record, at)
    if everybody or own or shared then
      local shard, member = sub(digits, 1, -6), tonumber(sub(digits, -5))
      if everybody and call('SISMEMBER', everybody .. shard, member) == 1 then return '*' end
      if own and call('SISMEMBER', own .. shard, member) == 1 then return campaign end
      if shared and call('SISMEMBER', shared .. shard, member) == 1 then return company end
    end
    local account = some[3] and account_of(record, at)
    if account and call('SISMEMBER', dnc_shard(ACCOUNT .. account, digits)) == 1 then return ACCOUNT .. account end
    if begun then return begun(digits, record, at) end
    return nil
  end
  return listed, begun
end
