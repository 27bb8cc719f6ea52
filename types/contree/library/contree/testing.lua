---@meta contree.testing
-- Written by scripts/library --write from the annotations of lua/contree.
-- luacheck: ignore

---@class contree.testing.Fake the server of the test
---@field calls contree.testing.Call[] the commands that were run, the oldest first
local Fake = {}

--- Says how a command is answered. A pattern that equals the command goes before one that is found in it, and a later rule before an earlier one.
---     fake:on("^make", { exit_code = 2, stderr = "no rule" })
---
--- Raises: nothing
---@param pattern string the command, or a Lua pattern to find in it
---@param answer string|contree.testing.Answer|fun(call: contree.testing.Call): any stdout, all of the answer, or a function that returns one of these
---@return contree.testing.Fake self
function Fake:on(pattern, answer) end

--- The calls whose command is the pattern, or in which it is found.
---     assert(#fake:called("^make") == 1)
---
--- Raises: nothing
---@param pattern string the command, or a Lua pattern to find in it
---@return contree.testing.Call[]
function Fake:called(pattern) end

---@class contree.testing.Call a command that was run
---@field command string the shell line, or the program and its arguments in one string
---@field argv? string[] the program and its arguments; nil for the shell
---@field stdin string all of its input
---@field env table<string, string> the variables that the call sets
---@field files table<string, string> contents by destination
---@field image string the tag or uuid it was run from
---@field request table everything, as a server gets it (http-api.md §5.7)

---@class contree.testing.Answer
---@field stdout? string default nothing
---@field stderr? string default nothing
---@field exit_code? integer default 0
---@field signal? integer that ended it; default none
---@field timed_out? boolean its time limit ended it; default false
---@field files? table<string, string> what it writes: contents by path; default none
---@field error? string the command could not be run: operation_failed; default none
---@field raises? contree.ErrorKind the request itself fails so; default none
---@field message? string of that error; default the kind

---@class contree.testing
local testing = {}

--- A client whose commands are answered as the test says, and the server that it talks to, which takes more answers and shows the calls.
---     local client, fake = testing.client{ run = { ["^make"] = { exit_code = 2 } } }
---
--- Raises: nothing
---@param given? { run: table?, images: table?, safe: boolean? } run: answers by command, or by a pattern to find in it; images: files (contents by path) by tag, where by default every tag names an empty image; safe: it is a client of contree.safe
---@return contree.Client client
---@return contree.testing.Fake fake the server
function testing.client(given) end

return testing
