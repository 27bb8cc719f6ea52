-- Starts commands and downloads (to path1, path2, …), for programs that exit while these
-- are in flight.
return function(contree, image, path)
  local made = image:run{ shell = "head -c 50000000 /dev/zero > /big", disposable = false }
  for i = 1, 5 do
    contree.spawn(function() image:run("sleep 1") end)
    contree.spawn(function() made:download("/big", path .. i) end)
  end
  contree.sleep(0.02)
end
