-- Copyright 2026 The Portero Authors
-- SPDX-License-Identifier: Apache-2.0
--
-- One operation on the counters of one owner (a person, class, domain or
-- host). Time is the server's.
--
-- KEYS  1  counters       "P1", then a record for each counter
--       2  transaction    "S": settled, or "R" and what was taken where;
--                         REPORT: what their names begin with
--       3  transactions   that are open, scored by when they expire
-- ARGV  what it needs, so that the text never changes:
--       PEEK, TAKE, CHARGE   txid, sequence, life, age in us, then for each
--               charge counter, amount, maximum, window, 1 if it holds
--       SETTLE  life, what was used of each unit
--       REPORT, RESET
-- Reply: result, number of values that were not ours, then for each charge
-- used, 1 if it fits, and when it will; or for each counter its name, maximum,
-- use, window, when all of it will have passed, open transactions.
--
-- A counter is named by its unit's digit and its limit. Bucket n covers the
-- times n * width to (n + 1) * width and counts while now / width - n <= 60;
-- only buckets that hold something are kept, oldest first, each one byte of
-- its number and `wide` bytes of amount.
--
-- What must always hold: the first write of a call is the one that may fail,
-- so that nothing is done by half; each key is given a time to live with its
-- value; what is read is checked, and unsound values are absent.
local unpack, pack, sub = struct.unpack, struct.pack, string.sub
local floor, ceil, min, max = math.floor, math.ceil, math.min, math.max

local DONE, REFUSED, SETTLED, FULL = 1, 2, 3, 4
local MAGIC, HEAD, HEAD_LEN = 'P1', '<HBBI4I4I4I6dd', 38
local OLDEST, AMOUNT_MAX = 60, 2 ^ 53
local WINDOW_MAX, KEEP_MAX = 31 * 86400, 70 * 86400
local MAX_ENTRIES, MAX_OPEN = 132, 1000

local time = redis.call('TIME')
local now_s = tonumber(time[1])
local now = now_s * 1000000 + tonumber(time[2])
local alerts = 0

local function read(key)
	local value = redis.pcall('GET', key)
	if type(value) == 'table' then
		if sub(value.err, 1, 9) ~= 'WRONGTYPE' then
			redis.call('GET', key)
		end
		alerts = alerts + 1
		return nil
	end
	return value or nil
end

-- ---- counters --------------------------------------------------------------

local counters, order = {}, {}

local function width_of(window)
	return ceil(window * 1000000 / 60)
end

local function is_name(id)
	return #id <= 32 and string.find(id, '^[0-2][^%z]+$') ~= nil
end

local function is_sound(c)
	return c.window >= 1 and c.window <= WINDOW_MAX and c.wide >= 1 and
	    c.wide <= 7 and #c.buckets % (c.wide + 1) == 0 and
	    #c.buckets / (c.wide + 1) <= OLDEST + 1 and c.used >= 0 and
	    c.used <= 64 * AMOUNT_MAX and c.max >= -1 and c.max <= 2 ^ 62
end

local function load()
	local text = read(KEYS[1])
	if not text then
		return
	end
	local at, size = #MAGIC + 1, #text
	if sub(text, 1, #MAGIC) ~= MAGIC then
		at, alerts = size + 1, alerts + 1
	end
	while at <= size do
		local len, idlen, c = 0, 0, {}
		if size - at + 1 >= HEAD_LEN then
			len, idlen, c.wide, c.window, c.epoch, c.keep, c.newest,
			    c.max, c.used = unpack(HEAD, text, at)
		end
		if len < HEAD_LEN + idlen or at + len - 1 > size then
			alerts = alerts + 1
			return
		end
		local id = sub(text, at + HEAD_LEN, at + HEAD_LEN + idlen - 1)
		c.raw = sub(text, at, at + len - 1)
		c.buckets = sub(c.raw, HEAD_LEN + idlen + 1)
		c.keep = min(c.keep, now_s + KEEP_MAX)
		if not is_name(id) or not is_sound(c) then
			alerts = alerts + 1
		elseif c.keep > now_s and not counters[id] then
			counters[id] = c
			order[#order + 1] = id
		end
		at = at + len
	end
end

local function save()
	local out, keep = { MAGIC }, 0
	for i = 1, #order do
		local id = order[i]
		local c = counters[id]
		if c.changed then
			out[i + 1] = pack(HEAD, HEAD_LEN + #id + #c.buckets, #id,
			    c.wide, c.window, c.epoch, c.keep, c.newest, c.max,
			    c.used) .. id .. c.buckets
		else
			out[i + 1] = c.raw
		end
		keep = max(keep, c.keep)
	end
	redis.call('SET', KEYS[1], table.concat(out), 'EX', keep - now_s)
end

-- The bucket at a place of the text: its number and amount.
local function bucket_at(c, at)
	local low, amount = unpack('<BI' .. c.wide, c.buckets, at)
	return c.newest - (c.newest - low) % 256, amount
end

local function bucket_text(c, n, amount)
	return pack('<BI' .. c.wide, n % 256, amount)
end

-- Makes room for an amount in each bucket.
local function widen(c, amount)
	local wide, step, out = c.wide, c.wide + 1, {}
	while amount >= 256 ^ wide do
		wide = wide + 1
	end
	local old = { wide = c.wide, newest = c.newest, buckets = c.buckets }
	c.wide = wide
	for at = 1, #old.buckets, step do
		out[#out + 1] = bucket_text(c, bucket_at(old, at))
	end
	c.buckets = table.concat(out)
end

-- Adds to bucket n, which is in the window.
local function add(c, n, amount)
	local step, found, before = c.wide + 1, false, 0
	local at = #c.buckets + 1
	amount = min(amount, AMOUNT_MAX)
	if amount == 0 then
		return
	end
	while at > 1 and not found do
		local number, have = bucket_at(c, at - step)
		if number < n then
			break
		end
		at = at - step
		if number == n then
			found, before = true, have
		end
	end
	local after = min(before + amount, AMOUNT_MAX)
	if after >= 256 ^ c.wide then
		local place = (at - 1) / step
		widen(c, after)
		step = c.wide + 1
		at = place * step + 1
	end
	c.buckets = sub(c.buckets, 1, at - 1) .. bucket_text(c, n, after) ..
	    sub(c.buckets, found and at + step or at)
	c.used = c.used + after - before
end

local function passes_at(c, n)
	return ceil((n + OLDEST + 1) * width_of(c.window) / 1000000)
end

-- The window is another one or the clock went back: a bucket goes where its
-- end lies, but not after now nor before the oldest. What was charged before
-- cannot be given back any more.
local function lay_out(c, window)
	local old_width, width = width_of(c.window), width_of(window)
	local newest, oldest = floor(now / width), floor(now / old_width) - OLDEST
	local new = { wide = c.wide, newest = newest, used = 0, buckets = '' }
	for at = 1, #c.buckets, c.wide + 1 do
		local n, amount = bucket_at(c, at)
		if n >= oldest then
			local to = floor(((n + 1) * old_width - 1) / width)
			to = max(min(to, newest), newest - OLDEST)
			add(new, to, amount)
		end
	end
	c.wide, c.buckets, c.used = new.wide, new.buckets, new.used
	c.window, c.newest, c.epoch = window, newest, (c.epoch + 1) % 2 ^ 32
	c.keep = max(c.keep, passes_at(c, newest))
	c.changed = true
end

-- Brings a counter to now. true: that must be kept, whatever comes of it.
local function advance(c, window)
	local newest = floor(now / width_of(window))
	local at, step = 1, c.wide + 1
	if window ~= c.window or newest < c.newest then
		lay_out(c, window)
		return true
	end
	while at <= #c.buckets do
		local n, amount = bucket_at(c, at)
		if newest - n <= OLDEST then
			break
		end
		c.used = c.used - amount
		at = at + step
	end
	if at > 1 then
		c.buckets = sub(c.buckets, at)
	end
	if c.buckets == '' or c.used < 0 then
		c.used = 0
	end
	c.newest = newest
	return false
end

-- When there will be room for `free` in use.
local function fits_at(c, free)
	local used, n = c.used, c.newest
	for at = 1, #c.buckets, c.wide + 1 do
		local amount
		n, amount = bucket_at(c, at)
		used = used - amount
		if used <= free then
			break
		end
	end
	return passes_at(c, n)
end

local function give_back(c, epoch, n, amount)
	local step = c.wide + 1
	if epoch ~= c.epoch or n > c.newest or c.newest - n > OLDEST then
		return
	end
	for at = #c.buckets - c.wide, 1, -step do
		local number, have = bucket_at(c, at)
		if number == n then
			local rest = max(have - amount, 0)
			c.buckets = sub(c.buckets, 1, at - 1) ..
			    (rest > 0 and bucket_text(c, n, rest) or '') ..
			    sub(c.buckets, at + step)
			c.used = max(c.used - (have - rest), 0)
			return
		end
	end
end

-- ---- transactions ----------------------------------------------------------

-- nil: there is none. Else its settle was seen, or the sequences taken, when
-- it expires, and its entries.
local function transaction(key)
	local text = read(key)
	if not text then
		return nil
	end
	if text == 'S' then
		return { settled = true }
	end
	local t, at, size = { entries = {} }, 7, #text
	if size >= 6 and sub(text, 1, 1) == 'R' then
		local len
		t.expires, len = unpack('<I4B', text, 2)
		t.sequences = sub(text, at, at + len - 1)
		at = at + len
	else
		at = size + 2
	end
	while at <= size do
		local len, e = 0, {}
		if size - at >= 17 then
			len, e.epoch, e.bucket, e.amount = unpack('<BI4I6I7',
			    text, at)
		end
		e.id = sub(text, at + 18, at + 17 + len)
		t.entries[#t.entries + 1] = e
		at = is_name(e.id) and at + 18 + len or size + 2
	end
	if at ~= size + 1 then
		alerts = alerts + 1
		return nil
	end
	return t
end

local function transaction_text(t)
	local out = { 'R', pack('<I4B', t.expires, #t.sequences), t.sequences }
	for i = 1, #t.entries do
		local e = t.entries[i]
		out[i + 3] = pack('<BI4I6I7', #e.id, e.epoch, e.bucket,
		    e.amount) .. e.id
	end
	return table.concat(out)
end

-- Charges that went to one bucket in turn are one.
local function note(t, id, c, n, amount)
	for i = #t.entries, 1, -1 do
		local e = t.entries[i]
		if e.id == id then
			if e.epoch == c.epoch and e.bucket == n then
				e.amount = min(e.amount + amount, AMOUNT_MAX)
				return
			end
			break
		end
	end
	t.entries[#t.entries + 1] = { id = id, epoch = c.epoch, bucket = n,
	    amount = amount }
end

-- The first write of a take: what can fail fails here.
local function list_open(txid, expires)
	local reply = redis.pcall('ZADD', KEYS[3], expires, txid)
	if type(reply) == 'table' then
		if sub(reply.err, 1, 9) == 'WRONGTYPE' then
			alerts = alerts + 1
			redis.call('DEL', KEYS[3])
		end
		redis.call('ZADD', KEYS[3], expires, txid)
	end
	redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', now_s)
	redis.call('EXPIRE', KEYS[3], expires - now_s + 86400)
end

-- ---- operations ------------------------------------------------------------

-- Fills the reply. The charges, whether all that hold fit, and whether
-- counters were laid out anew.
local function look(reply)
	local charges, fit, moved = {}, true, false
	for i = 6, #ARGV, 5 do
		local id, amount = ARGV[i], tonumber(ARGV[i + 1])
		local limit, window = tonumber(ARGV[i + 2]), tonumber(ARGV[i + 3])
		local c, at = counters[id], now_s
		if not c then
			c = { wide = 1, window = window, keep = 0, max = limit,
			    newest = floor(now / width_of(window)), used = 0,
			    buckets = '', is_new = true }
		elseif advance(c, window) then
			moved = true
		end
		local fits = limit == -1 or amount <= limit - c.used
		if not fits then
			at = amount > limit and 0 or fits_at(c, limit - amount)
			fit = fit and ARGV[i + 4] ~= '1'
		end
		local n = #reply
		reply[n + 1], reply[n + 2], reply[n + 3] = c.used,
		    fits and 1 or 0, at
		charges[#charges + 1] = { id = id, counter = c, amount = amount,
		    max = limit }
	end
	return charges, fit, moved
end

local function peek(result)
	local reply = { result, 0 }
	local _, _, moved = look(reply)
	if moved then
		save()
	end
	return reply
end

local function take()
	local txid, sequence = ARGV[2], string.char(ARGV[3])
	local t = transaction(KEYS[2])
	load()
	if t and t.settled then
		return peek(SETTLED)
	end
	if t and string.find(t.sequences, sequence, 1, true) then
		local reply = peek(DONE)
		-- it is repeated: what is used without it
		for i = 3, #reply, 3 do
			reply[i] = max(reply[i] - ARGV[i / 3 * 5 + 2], 0)
		end
		return reply
	end
	t = t or { expires = 0, sequences = '', entries = {} }

	local reply = { DONE, 0 }
	local charges, fit, moved = look(reply)
	if not fit and ARGV[1] == 'TAKE' then
		if moved then
			save()
		end
		reply[1] = REFUSED
		return reply
	end
	t.expires = max(t.expires, now_s + 1 + ARGV[4])
	t.sequences = t.sequences .. sequence
	for i = 1, #charges do
		local charge = charges[i]
		local c = charge.counter
		local amount = min(charge.amount, AMOUNT_MAX)
		if c.is_new then
			-- An epoch nobody else has: nothing is given back to
			-- it that was charged to one forgotten since.
			c.epoch = tonumber(sub(redis.sha1hex(txid .. sequence),
			    1, 8), 16)
			counters[charge.id] = c
			order[#order + 1] = charge.id
		end
		c.max, c.changed = charge.max, true
		c.keep = max(c.keep, passes_at(c, c.newest), t.expires)
		local n = min(c.newest,
		    floor((now - ARGV[5]) / width_of(c.window)))
		if n >= c.newest - OLDEST then
			add(c, n, amount)
			note(t, charge.id, c, n, amount)
		end
	end
	if #t.entries > MAX_ENTRIES then
		return { FULL, 0 }
	end
	list_open(txid, t.expires)
	if #charges > 0 then
		save()
	end
	redis.call('SET', KEYS[2], transaction_text(t), 'EX', t.expires - now_s)
	return reply
end

-- Corrects a counter by what was taken of it too much (or, if negative, too
-- little): the latest charges go first.
local function correct(c, t, id, surplus)
	advance(c, c.window)
	if surplus < 0 then
		add(c, c.newest, -surplus)
	end
	for i = #t.entries, 1, -1 do
		local e = t.entries[i]
		if surplus > 0 and e.id == id then
			local part = min(e.amount, surplus)
			give_back(c, e.epoch, e.bucket, part)
			surplus = surplus - part
		end
	end
	c.keep = max(c.keep, passes_at(c, c.newest))
	c.changed = true
end

local function settle()
	local t = transaction(KEYS[2])
	if t and t.settled then
		return { DONE, 0 }
	end
	local surplus, changed = {}, false
	for i = 1, t and #t.entries or 0 do
		local e = t.entries[i]
		local actual = tonumber(ARGV[3 + sub(e.id, 1, 1)])
		surplus[e.id] = (surplus[e.id] or -actual) + e.amount
	end
	for id, amount in pairs(surplus) do
		if amount ~= 0 and not changed then
			load()
			changed = true
		end
		if amount ~= 0 and counters[id] then
			correct(counters[id], t, id, amount)
		end
	end
	if changed and #order > 0 then
		save()
	end
	redis.call('SET', KEYS[2], 'S', 'EX', 1 + ARGV[2])
	if t then
		redis.call('ZREM', KEYS[3], ARGV[6])
	end
	return { DONE, 0 }
end

-- How many open transactions touch each counter.
local function count_open()
	local open = {}
	local txids = redis.pcall('ZRANGEBYSCORE', KEYS[3], '(' .. now_s, '+inf',
	    'LIMIT', 0, MAX_OPEN)
	for i = 1, #txids do
		local t = transaction(KEYS[2] .. txids[i])
		local seen = {}
		for k = 1, t and not t.settled and #t.entries or 0 do
			local id = t.entries[k].id
			if not seen[id] then
				open[id] = (open[id] or 0) + 1
			end
			seen[id] = true
		end
	end
	return open
end

local function report()
	local reply, open = { DONE, 0 }, count_open()
	load()
	for i = 1, #order do
		local id, resets_at = order[i], 0
		local c = counters[id]
		advance(c, c.window)
		if c.buckets ~= '' then
			resets_at = passes_at(c,
			    (bucket_at(c, #c.buckets - c.wide)))
		end
		local n = #reply
		reply[n + 1], reply[n + 2], reply[n + 3] = id, c.max, c.used
		reply[n + 4], reply[n + 5], reply[n + 6] = c.window, resets_at,
		    open[id] or 0
	end
	return reply
end

local reply
if ARGV[1] == 'TAKE' or ARGV[1] == 'CHARGE' then
	reply = take()
elseif ARGV[1] == 'SETTLE' then
	reply = settle()
elseif ARGV[1] == 'PEEK' then
	load()
	reply = peek(DONE)
elseif ARGV[1] == 'REPORT' then
	reply = report()
elseif ARGV[1] == 'RESET' then
	redis.call('DEL', KEYS[1])
	reply = { DONE, 0 }
end
reply[2] = alerts
return reply
