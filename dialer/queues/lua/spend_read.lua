-- Enter what the record says has been spent on a day. day, for how long it is kept (s), generation that the record was
-- loaded as, then for each cap: name, money (millionths), time (s). What is known already and is more stays.
-- Answers 1, or 0 where the record has been loaded anew meanwhile.

local gate = call('HGET', K.gate, 'generation')
if not gate then return not_ready('the record has not been loaded') end
if gate ~= ARGV[3] then return 0 end
local day = K.spend .. ARGV[1]
for i = 4, #ARGV, 3 do
  for k, kind in ipairs({'micros', 'seconds'}) do
    local field, said = ARGV[i] .. '\t' .. kind, ARGV[i + k]
    if tonumber(said) > tonumber(call('HGET', day, field) or 0) then call('HSET', day, field, said) end
  end
end
call('HSET', day, 'generation', gate)
call('EXPIRE', day, ARGV[2])
return 1
