--- Tools for registries that want a login. What they are told stays in this process.

local errors = require("contree.base.errors")

local function host_of(url)
  local host = url:gsub("^%w+://", ""):match("^[^/%s]+")
  if host then return host end
  errors.raise("invalid_argument", ("'%s' names no registry"):format(url))
end

local function registry_token_obtain(_, given)
  local host = host_of(given.registry_url)
  return { status = "success", registry = host, url = "https://" .. host,
    message = "no browser was opened",
    agent_instruction = ("Ask the user for a read-only access token of %s, made in the account's "
      .. "settings there, and give it to registry_auth with the user's name."):format(host) }
end

local function registry_auth(context, given)
  local host = host_of(given.registry_url)
  local registries = context.handles.registries or {}
  context.handles.registries = registries
  registries[host] = { username = given.username, token = given.token }
  return { status = "success", registry = host,
    message = "import_image uses it until this server ends; it is tried then" }
end

return {
  { name = "registry_token_obtain", title = "How to get a registry's token", reads = true,
    call = registry_token_obtain,
    about = "Says how the user gets a token of a registry. Opens nothing.",
    takes = { { "registry_url", "string", "the registry, or an image of it", required = true } } },
  { name = "registry_auth", title = "Log in to a registry", call = registry_auth,
    about = "Remembers a login for import_image, in this process alone.",
    takes = {
      { "registry_url", "string", "the registry, or an image of it", required = true },
      { "username", "string", "the user's name there", required = true },
      { "token", "string", "the token", required = true },
    } },
}
