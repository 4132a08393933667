-- Open the gate: the record is all there. generation, run id, highest token known, "loaded" or "known", layout.
-- "known" only renews the marker of a server that came back with everything; answers 0 where it is not marked at all.

local gate = call('HMGET', K.gate, 'generation', 'fence')
if ARGV[4] == 'known' then
  if not gate[1] then return 0 end
else
  -- Tokens up to here may have been issued by the server that was lost, some of them to nodes that we have not heard:
  -- those of a million batches.
  local fence = math.max(tonumber(gate[2] or 0), tonumber(ARGV[3])) + 1000000 * SPAN
  call('HSET', K.gate, 'fence', format('%.0f', fence), 'epoch', format('%.0f', fence))
end
call('HSET', K.gate, 'generation', ARGV[1], 'run_id', ARGV[2], 'layout', ARGV[5])
return 1
