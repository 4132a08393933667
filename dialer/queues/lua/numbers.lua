-- What is known of the numbers of a contact one by one: how often each was called, where the contact says something of
-- them, and until when it is not called. In `numbers:<campaign>`: digits:attempts:until, by commas. That there is an entry
-- says a ~ before the expiry in the contact's record, behind the ! where it has one.

-- As dialer.queues.port has it.
local NEVER = 1e11

-- Digits -> {attempts, until or ''}.
local function numbers_of(entry)
  local out = {}
  for digits, made, till in string.gmatch(entry or '', '(%d+):(%d+):([%d.]*)') do out[digits] = {tonumber(made), till} end
  return out
end

-- Keeps them for a contact with these phones (by commas); whether there was anything to keep.
local function keep_numbers(campaign, contact, numbers, phones)
  local out = {}
  for _, digits in ipairs(phones_of(phones)) do
    local one = numbers[digits]
    if one and (one[1] > 0 or one[2] ~= '') then
      out[#out + 1] = digits .. ':' .. format('%.0f', one[1]) .. ':' .. one[2]
    end
  end
  if #out == 0 then
    call('HDEL', K.numbers .. campaign, contact)
    return false
  end
  call('HSET', K.numbers .. campaign, contact, concat(out, ','))
  return true
end

-- The expiry of a record that has an entry.
local function marked(expires)
  if find(expires, '~', 1, true) then return expires end
  return (gsub(expires, '^!?', '%0~', 1))
end
