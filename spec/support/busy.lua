-- Commands that run and files that come in, to path1, path2, …: for those who
-- leave in the middle of it.
return function(contree, image, path)
  local made = image:run{ shell = "head -c 50000000 /dev/zero > /big", disposable = false }
  for i = 1, 5 do
    contree.spawn(function() image:run("sleep 1") end)
    contree.spawn(function() made:download("/big", path .. i) end)
  end
  contree.sleep(0.02)
end
