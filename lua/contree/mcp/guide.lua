--- The guide for models: short, one section a subject.

local guide = {}

local ORDER = { "workflow", "reference", "quickstart", "state", "async", "tagging", "errors" }

local TEXTS = {
  workflow = [[
# Workflow

1. list_images finds an image. import_image fetches one that is missing.
2. Prepare it once: run with disposable = false installs what is needed; set_tag names the result.
3. Work from the prepared image. Runs that only look are disposable, the default.
4. On the user's project: workspace_run, then workspace_changes, then workspace_apply.

Try several ways from one image: each run begins where `image` says, so none disturbs another.]],
  reference = [[
# Reference

- Images: list_images, get_image, set_tag, import_image, list_files, read_file, download
- Runs: run, upload, rsync, get_operation, list_operations, wait_operations, cancel_operation
- The user's folder: workspace_run, workspace_changes, workspace_apply, workspace_undo, branch
- History: diff, bisect, blame
- Registries: registry_token_obtain, registry_auth

Reading an image (list_files, read_file, diff, blame) runs nothing and takes milliseconds.]],
  quickstart = [[
# Quickstart

    run {"command": "uname -a", "image": "tag:busybox:latest"}

The exit code is metadata.result.state.exit_code, the output metadata.result.stdout.value.

    workspace_run {"path": "/home/me/project", "image": "tag:busybox:latest", "command": "ls"}
    workspace_changes {"path": "/home/me/project"}]],
  state = [[
# State

An image never changes. A run with disposable = false makes a new one, result.image; pass that to
the next run. To go back, pass an older one. A run that changed nothing has its input as result.

A folder's sandbox is remembered: workspace_run goes on where the last one ended, with the user's
edits brought in. branch lists, begins and changes branches of it, and goes back by runs.]],
  async = [[
# Many at once

run with wait = false returns operation_id at once. wait_operations waits for several: for all, or
for any, which cancels the others. get_operation looks at one. Cancelling a call that waits cancels
its command.]],
  tagging = [[
# Names

set_tag gives an image a name, which list_images finds by its beginning. project/purpose:v1 is a
good form. A name belongs to one image; giving it to another takes it from the first. Images without
a name are removed when nobody has used them for half a year.]],
  errors = [[
# Errors

A tool that failed says what happened and what to do. A command that failed is no error: look at
its exit code (127: no such command; 126: not runnable; -1 or none: killed). timed_out says that the
time was up: give more timeout. A path in skipped was left alone by workspace_apply: the reason
stands beside it.]],
}

--- The names of the sections.
---@return string[]
function guide.sections() return { table.unpack(ORDER) } end

--- The text of a section, or nil where no section has that name.
---@return string?
function guide.read(section) return TEXTS[section] end

return guide
