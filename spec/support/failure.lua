--- Calls a function that must raise; returns what it raised.
return function(fn, ...)
  local ok, err = pcall(fn, ...)
  if ok then error("nothing was raised", 2) end
  return err
end
