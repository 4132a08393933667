-- Load a page of the record that is no contact to be called: what, campaign or scope, items...
-- "finished": contact ids; "removed": c<id> or p<digits>; "dnc": pairs of digits and expiry or ''.

local what, campaign = ARGV[1], ARGV[2]
local function out(name, contact)
  local record = call('HGET', K.data .. name, contact)
  if record then
    local _, live = live_call_of(name, contact, record)
    forget(name, contact, record, live)
  end
end
if what == 'dnc' then
  for i = 3, #ARGV, 2 do dnc_add(campaign, ARGV[i], ARGV[i + 1] ~= '' and ARGV[i + 1]) end
else
  local key = (what == 'finished' and K.finished or K.removed) .. campaign
  for i = 3, #ARGV do
    local item = ARGV[i]
    call('SADD', key, item)
    if what == 'finished' then
      out(campaign, item)
    elseif sub(item, 1, 1) == 'c' then
      for _, name in ipairs(campaign == '*' and call('SMEMBERS', K.campaigns) or {campaign}) do out(name, sub(item, 2)) end
    else
      for line in string.gmatch(call('HGET', K.phones, sub(item, 2)) or '', '[^\n]+') do
        local name, contact = match(line, '^([^\t]*)\t(.*)$')
        if campaign == '*' or name == campaign then out(name, contact) end
      end
    end
  end
end
return 1
