-- Whom the gate calls first. A contact's record has its own rank (see offer.lua); where its list has a priority, `ready` has
-- the rank that both make. In `list_priorities:<campaign>`: list -> its priority, and a ? behind it while not all of its
-- contacts stand by it (see rank.lua). In front of the scripts that put contacts into `ready`.

-- 2^41: so many pushes fit between two priorities.
local STEP = 2199023255552

-- List -> priority; nil where none has any.
local function priorities_of(campaign)
  local all = call('HGETALL', K.list_priorities .. campaign)
  if #all == 0 then return nil end
  local out = {}
  for i = 1, #all, 2 do out[all[i]] = tonumber(match(all[i + 1], '^%-?%d+')) end
  return out
end

-- The list of a contact, which the CRM's data ends with where it came with one.
local function list_of(record)
  return match(record, '"list":"([^"\\]*)"}$')
end

local function rank_of(record, priorities)
  local rank = match(record, SCORE)
  local more = priorities and priorities[list_of(record) or '']
  return more and format('%.0f', rank - more * STEP) or rank
end
