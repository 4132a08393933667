-- Choose the contacts of a campaign by another filter from now on. campaign, text of the filter ('': none).
-- Answers 1 where it is another than before. A filter is judged by the nodes, between the reservation and the dial, from what
-- the gate has answered with: its number and its text. Each has a number of its own, so that whoever was left out by an
-- earlier one, however late that was told, waits again.

if call('HEXISTS', K.gate, 'generation') == 0 then return not_ready('the record has not been loaded') end
local field = 'filter:' .. ARGV[1]
local number, text = match(call('HGET', K.gate, field) or '0\t', '^(%d+)\t(.*)$')
if text == ARGV[2] then return 0 end
call('HSET', K.gate, field, format('%.0f', number + 1) .. '\t' .. ARGV[2])
return 1
