-- Trim a stream behind what its readers have done with. Name of the stream, its key.
-- Nothing goes that a group has not acknowledged or, of removals and do-not-call entries, the gate has not drained.

local key = ARGV[2]
local function before(a, b)
  local am, as = match(a, '^(%d+)%-(%d+)$')
  local bm, bs = match(b, '^(%d+)%-(%d+)$')
  am, as, bm, bs = tonumber(am), tonumber(as), tonumber(bm), tonumber(bs)
  return am < bm or (am == bm and as < bs)
end
local function after(id)
  local ms, seq = match(id, '^(%d+)%-(%d+)$')
  return ms .. '-' .. format('%.0f', tonumber(seq) + 1)
end

-- Every group of the stream counts, not only ours.
local limit
for _, group in ipairs(call('XINFO', 'GROUPS', key)) do
  local f = {}
  for i = 1, #group, 2 do f[group[i]] = group[i + 1] end
  local pending = call('XPENDING', key, f['name'])
  local done = tonumber(pending[1]) > 0 and pending[2] or after(f['last-delivered-id'])
  if not limit or before(done, limit) then limit = done end
end
if ARGV[1] == 'removals' or ARGV[1] == 'dnc' then
  local drained = after(call('HGET', K.gate, ARGV[1]) or '0-0')
  if not limit or before(drained, limit) then limit = drained end
end
if not limit then return 0 end
return call('XTRIM', key, 'MINID', limit)
