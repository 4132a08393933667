-- Lend parts of a day's caps. day, for how long it is kept (s), generation whose loans the caller has ('' for none), then
-- for each cap: name, and of money (millionths) and time (s) in turn: cap or '', owed, wanted, least that is of use.
-- What is owed is entered whatever the cap: it has been spent. Wanted below nothing is given back. Of the rest of a cap at
-- most half is lent, but that least: several nodes live on it.
-- Answers {generation, for each cap: money lent, money out in all, time lent, time out in all}; with the generation alone
-- where the loans are of another one; {''} where the day has not been read from the record since the record was loaded.

local gate = call('HGET', K.gate, 'generation')
if not gate then return not_ready('the record has not been loaded') end
local day = K.spend .. ARGV[1]
if call('HGET', day, 'generation') ~= gate then return {''} end
if ARGV[3] ~= gate then return {gate} end

local function lend(field, cap, owed, wanted, least)
  local out = tonumber(call('HGET', day, field) or 0) + owed
  local lent = wanted
  if wanted < 0 then
    lent = math.max(wanted, -out)
  elseif cap ~= '' then
    local rest = math.max(0, tonumber(cap) - out)
    lent = math.max(math.min(wanted, floor(rest / 2)), math.min(wanted, least, rest))
  end
  if owed ~= 0 or lent ~= 0 then call('HSET', day, field, format('%.0f', out + lent)) end
  return lent, out + lent
end

local answer = {gate}
for i = 4, #ARGV, 9 do
  for k, kind in ipairs({'micros', 'seconds'}) do
    local a = i + 1 + (k - 1) * 4
    local lent, out = lend(
      ARGV[i] .. '\t' .. kind, ARGV[a], tonumber(ARGV[a + 1]), tonumber(ARGV[a + 2]), tonumber(ARGV[a + 3])
    )
    answer[#answer + 1] = lent
    answer[#answer + 1] = out
  end
end
call('EXPIRE', day, ARGV[2])
return answer
