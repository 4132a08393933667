-- Take over the calls of earlier processes of this node and of nodes without heartbeat. owner, node, now, at most; and where
-- an earlier answer was lost, with which calls came that nobody has heard of: beginnings of the ids of calls that this
-- process has made, by lines, then every call that it has under way or in doubt.
-- Answers {id, record, ...}; whoever had them before has a stale token from now on.

local owner, node, limit = ARGV[1], ARGV[2], tonumber(ARGV[4])
if call('HEXISTS', K.gate, 'generation') == 0 then return not_ready('the record has not been loaded') end
local doubt, known, made = ARGV[5] ~= nil, {}, {}
if doubt then
  for _, beginning in ipairs(split(ARGV[5], '[^\n]+')) do made[beginning] = true end
  for i = 6, #ARGV do known[ARGV[i]] = true end
end
local alive = {}
for _, name in ipairs(call('ZRANGEBYSCORE', K.nodes, '(' .. ARGV[3], '+inf')) do alive[name] = true end
call('ZADD', K.nodes, 'NX', format('%.6f', tonumber(ARGV[3]) + 10), owner)
local all, out = call('HGETALL', K.live), {}
for i = 1, #all, 2 do
  local f = {match(live_record(all[i], all[i + 1]), LIVE)}
  local id, its = f[1], f[2]
  local taken
  if its == owner then
    taken = doubt and not known[id] and not made[match(id, '^.*-') or '']
  else
    taken = its and (match(its, '^[^#]*') == node or not alive[its])
  end
  if taken and #out < limit * 2 then
    f[2], f[3] = owner, format('%.0f', call('HINCRBY', K.gate, 'fence', 1))
    call('HSET', K.live, all[i], concat(f, '\t'))
    leave_batch(all[i + 1])
    for line in string.gmatch(call('HGET', K.live_purged, id) or '', '[^\n]+') do
      call('XADD', K.inbox .. owner, '*', 'data', line)
    end
    out[#out + 1] = id
    out[#out + 1] = concat(f, '\t', 2)
  end
end
return out
