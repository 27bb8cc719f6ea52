--- contree volumes: directories that outlive runs.

local report = require("contree.command.report")

local volumes = {}

function volumes.volumes(args)
  local manager = args.client.volumes
  if args.delete then
    manager:remove(args.delete)
  elseif args.name then
    local made = manager:create(args.name, { quota = args.quota })
    if args.json then report.json(made) end
  else
    report.list(args, manager:list(), { "VOLUME", "SIZE", "QUOTA", "USED", "RUNS" }, function(each)
      return each.name, report.size(each.size), each.quota and report.size(each.quota) or "-",
        report.age(each.used_at), tostring(each.runs)
    end)
  end
  return 0
end

return volumes
